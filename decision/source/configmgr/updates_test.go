package configmgr

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestUpdated(t *testing.T) {
	tests := []struct {
		name     string
		statuses []int
		want     decision.Tri
	}{
		{"never scanned", nil, decision.Unknown},
		{"installed", []int{updateInstalled}, decision.Yes},
		{"not required", []int{updateNotRequired}, decision.Yes},
		{"both", []int{updateInstalled, updateNotRequired}, decision.Yes},
		{"missing", []int{updateInstalled, updateMissing}, decision.No},
		{"unknown", []int{updateInstalled, updateUnknown}, decision.Unknown},
		{"missing beats unknown", []int{updateUnknown, updateMissing}, decision.No},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := newFakeSite(t)
			site.add(99, entraTwo, "") // scanned
			site.add(100, entraOne, "")
			site.classes[classUpdates] = site.classes[classUpdates][:1]
			for i, status := range tt.statuses {
				site.update(100, 16900001+i, "5031356", status)
			}
			check := func(how string, v decision.Verdict) {
				t.Helper()
				if v.Updated != tt.want {
					t.Errorf("%s: updated %s, want %s", how, v.Updated, tt.want)
				}
				compliance := map[decision.Tri]decision.Compliance{decision.Yes: decision.Compliant, decision.No: decision.NonCompliant}[tt.want]
				if v.Compliance != compliance {
					t.Errorf("%s: compliance %s, want %s", how, v.Compliance, compliance)
				}
			}
			key := decision.Key{Kind: decision.KindEntra, Value: entraOne}
			for name, s := range map[string]*Source{
				"any":           site.source(t),
				"by CI":         site.source(t, func(o *Options) { o.Updates = []int{16900001, 16900002} }),
				"by article":    site.source(t, func(o *Options) { o.Updates = []int{5031356} }),
				"other as well": site.source(t, func(o *Options) { o.Updates = []int{5031356, 4000000} }),
			} {
				check(name+", sweep", sweepOf(t, s)["LT-0100"])
				v, err := s.Lookup(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				check(name+", look-up", v)
			}
		})
	}
}

func TestArticle(t *testing.T) {
	for in, want := range map[string]string{"5031356": "KB5031356", "KB5031356": "KB5031356", " 1 ": "KB1", "": "", strings.Repeat("9", 40): ""} {
		if got := article(&updateRow{ArticleID: text{s: in}}); got != want {
			t.Errorf("%q is called %q, want %q", in, got, want)
		}
	}
}

func TestOnlyNamedUpdatesCount(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	site.update(100, 16900009, "5999999", updateMissing)
	key := decision.Key{Kind: decision.KindEntra, Value: entraOne}
	for want, change := range map[decision.Tri]func(*Options){
		decision.No:      func(*Options) {},
		decision.Yes:     func(o *Options) { o.Updates = []int{5031356} },
		decision.Unknown: func(o *Options) { o.NoUpdates = true },
	} {
		s := site.source(t, change)
		if got := sweepOf(t, s)["LT-0100"].Updated; got != want {
			t.Errorf("sweep: updated %s, want %s", got, want)
		}
		v, err := s.Lookup(t.Context(), key)
		if err != nil || v.Updated != want {
			t.Errorf("look-up: updated %s, want %s (%v)", v.Updated, want, err)
		}
		if want == decision.Unknown && (s.Facts().Has(decision.FactUpdated) || v.Compliance != decision.Compliant) {
			t.Errorf("without updates: reports updated, or compliance is %s", v.Compliance)
		}
	}
}

// TestWitnesses: whether a device was scanned is found out with few requests, and
// one that never was stays unknown.
func TestWitnesses(t *testing.T) {
	const fleet = 60
	site := newFakeSite(t)
	for i := range fleet {
		site.add(100+i, fmt.Sprintf("%08x-0000-4000-8000-00000000e0e0", i+1), "")
	}
	site.classes[classUpdates] = nil
	for i := range fleet {
		for ci := range 40 {
			switch {
			case i%20 == 7: // never scanned
			case i >= fleet/2: // other updates than the first half
				site.update(100+i, 16901000+ci, "5032000", updateNotRequired)
			default:
				site.update(100+i, 16900000+ci, "5031000", updateInstalled)
			}
		}
	}
	s := site.source(t, func(o *Options) { o.PageSize = 1000 })
	count := func() (yes, unknown, requests int) {
		before := len(site.seen())
		for _, v := range sweepOf(t, s) {
			switch v.Updated {
			case decision.Yes:
				yes++
			case decision.Unknown:
				unknown++
			case decision.No:
			}
		}
		for _, c := range site.seen()[before:] {
			if strings.HasPrefix(c, classUpdates) {
				requests++
			}
		}
		return yes, unknown, requests
	}
	for range 3 {
		yes, unknown, requests := count()
		if yes != fleet-3 || unknown != 3 {
			t.Errorf("%d updated and %d unknown, want %d and 3", yes, unknown, fleet-3)
		}
		if requests > 2*maxRounds+2*maxProbes {
			t.Errorf("%d requests for update rows", requests)
		}
	}
}
