package defender

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestPaging(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		f.list("", rows(0, 25_000, "None")...)
		if n := again(t, s).Len(); n != 25_000 {
			t.Errorf("%d devices, want 25000", n)
		}
		want := []string{machinesPath, machinesPath + "  10000", machinesPath + "  20000", machinesPath + "  25000"}
		if got := f.calls(""); !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
	})
}

// TestPagingMoves lets rows move between pages while the list is read.
func TestPagingMoves(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		all := rows(0, 15_000, "None")
		f.answerWith(func(_ string, q url.Values) (int, string) {
			if q.Get("$skip") != "" { // a new machine came first
				return f.page(append([]string{row(20_000, "Low")}, all...), q)
			}
			return f.page(all, q)
		})
		table := again(t, s)
		for _, n := range []int{0, 9999, 10_000, 14_999} {
			if _, ok := table.Find(device(n)); !ok {
				t.Errorf("machine %d is missing", n)
			}
		}
		if table.Len() != 15_000 || table.AmbiguousKeys() != 0 {
			t.Errorf("%d devices, %d ambiguous ids", table.Len(), table.AmbiguousKeys())
		}
	})
}

func TestSkipIsIgnored(t *testing.T) {
	for _, tt := range []struct {
		machines int
		err      error
	}{{300, nil}, {pageRows, errStuck}} {
		bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
			all := rows(0, tt.machines, "None")
			f.answerWith(func(_ string, q url.Values) (int, string) {
				q.Del("$skip")
				return f.page(all, q)
			})
			if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.Is(err, tt.err) {
				t.Errorf("Sync of %d machines = %v, want %v", tt.machines, err, tt.err)
			}
		})
	}
}

func TestBadRows(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		f.list("", row(1, "High"), `{"id":null}`, `7`, `{"id":"../alerts","riskScore":"None"}`, row(2, "None"))
		sw := source.NewSweep(0)
		if err := s.Sync(t.Context(), sw); err != nil {
			t.Fatal(err)
		}
		n, bad := sw.BadRows()
		if n != 3 || bad[0].Place != "machine 2" || sw.Devices() != 2 || s.Stats().Bad != 3 {
			t.Errorf("%d bad rows of %d: %v, stats %+v", n, sw.Devices(), bad, s.Stats())
		}
	})
}

func TestNoOr(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		f.list("", rows(0, 30, "None")...)
		f.answerWith(func(_ string, q url.Values) (int, string) {
			filter := q.Get("$filter")
			switch {
			case strings.Contains(filter, " or "):
				return refuse(400, "ODataError")
			case filter == "riskScore eq 'Medium'":
				return f.page([]string{row(3, "Medium")}, q)
			case filter == "riskScore eq 'Low'":
				return f.page([]string{row(4, "Low")}, q)
			}
			return 0, ""
		})
		again(t, s)
		table := again(t, s)
		if a, b := riskOf(t, table, 3), riskOf(t, table, 4); a != decision.LevelMedium || b != decision.LevelLow {
			t.Errorf("risks %v and %v", a, b)
		}
		f.calls("")
		again(t, s)
		if got := f.calls(" or "); len(got) > 0 {
			t.Errorf("asks again with or: %q", got)
		}
	})
}

// TestNoChanges refuses the filter for changes: everything is listed then.
func TestNoChanges(t *testing.T) {
	for _, refused := range []string{"lastSeen", "riskScore"} {
		bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
			f.answerWith(func(_ string, q url.Values) (int, string) {
				if strings.HasPrefix(q.Get("$filter"), refused) {
					return refuse(400, "ODataError")
				}
				return 0, ""
			})
			f.list("", row(1, "None"))
			again(t, s)
			f.list("", row(1, "High"))
			time.Sleep(time.Minute)
			if r := riskOf(t, again(t, s), 1); r != decision.LevelHigh || s.Stats().Mode != modeFull {
				t.Errorf("%s refused: risk %v, stats %+v", refused, r, s.Stats())
			}
		})
	}
}
