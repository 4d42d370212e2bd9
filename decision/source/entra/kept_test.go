package entra

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// through runs a test with a directory whose device 1 a runner follows.
func through(t *testing.T, test func(t *testing.T, f *fakeGraph, d *directory, s *Source, r *source.Runner)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := newDirectory(f, devicesPath)
		d.set(row(2, `"accountEnabled":true`))
		s, done := newSource(t, f, Options{})
		defer done()
		r := source.NewRunner(s, source.RunnerOptions{Name: "entra"})
		defer r.Stop()
		test(t, f, d, s, r)
	})
}

// read reads the directory a minute later.
func read(t *testing.T, r *source.Runner) {
	t.Helper()
	time.Sleep(minute)
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func known(t *testing.T, r *source.Runner) decision.Device {
	t.Helper()
	m := r.Find([]decision.Key{entraKey(1)})
	if m.Verdict == nil || !m.GoneSince.IsZero() {
		t.Fatalf("device 1 is not found: %+v", m)
	}
	return m.Verdict.Device
}

func change(members string) string { return `{"id":"` + objectID(1) + `",` + members + `}` }

var (
	goodRow = row(1, `"accountEnabled":true,"isCompliant":true,"isManaged":true,"isRooted":false,"deviceOwnership":"Company","trustType":"AzureAd","operatingSystem":"Windows","operatingSystemVersion":"10.0.22631.1"`)
	badRow  = row(1, `"accountEnabled":false,"isCompliant":false,"isManaged":false,"isRooted":true,"deviceOwnership":"Personal","trustType":"Workplace"`)
	oddRow  = change(odd)
)

const odd = `"accountEnabled":null,"isCompliant":"no","isManaged":2,"isRooted":[],"deviceOwnership":"Leased","trustType":"Quantum"`

const allFacts = 1<<decision.FactEnabled | 1<<decision.FactCompliance | 1<<decision.FactManaged | 1<<decision.FactJailbroken |
	1<<decision.FactOwnership | 1<<decision.FactTrust

// TestUnreadableChange: a value that cannot be read ends good news and lifts no bad,
// and the status tells of it; whether each row comes with its own sweep or several
// come with one.
func TestUnreadableChange(t *testing.T) {
	type outcome struct {
		enabled    decision.Tri
		compliance decision.Compliance
		managed    decision.Tri
		jailbroken decision.Tri
		ownership  decision.Ownership
		unreadable decision.FactSet
		kept       int
	}
	const yes, no, unknown = decision.Yes, decision.No, decision.Unknown
	stays := outcome{no, decision.NonCompliant, no, yes, decision.Personal, decision.Facts(decision.FactTrust), 1}
	for _, tt := range []struct {
		name string
		rows []string
		want outcome
	}{
		{"good, odd", []string{goodRow, oddRow}, outcome{unknown, decision.ComplianceUnknown, unknown, unknown, decision.OwnershipUnknown, allFacts, 0}},
		{"bad, odd", []string{badRow, oddRow}, stays},
		{"bad, odd again and again", []string{badRow, oddRow, oddRow, change(`"accountEnabled":"maybe","displayName":"other"`), oddRow}, stays},
		{"bad, odd, something else", []string{badRow, oddRow, change(`"displayName":"other"`)}, stays},
		{"bad, odd, good", []string{badRow, oddRow, goodRow}, outcome{yes, decision.Compliant, yes, no, decision.Corporate, 0, 0}},
		{"bad, odd, bad", []string{badRow, oddRow, badRow}, outcome{no, decision.NonCompliant, no, yes, decision.Personal, 0, 0}},
		{"bad, a row without the members", []string{badRow, change(`"displayName":"other"`)}, outcome{no, decision.NonCompliant, no, yes, decision.Personal, 0, 0}},
		{"bad, odd, one readable value of many", []string{badRow, oddRow, change(`"accountEnabled":true`)}, outcome{
			yes, decision.NonCompliant, no, yes, decision.Personal, decision.Facts(decision.FactTrust), 1,
		}},
		{"good, odd, one readable value of many", []string{goodRow, oddRow, change(`"accountEnabled":true`)}, outcome{
			yes, decision.ComplianceUnknown, unknown, unknown, decision.OwnershipUnknown, allFacts &^ decision.Facts(decision.FactEnabled), 0,
		}},
	} {
		for _, at := range []string{"each with a sweep", "one sweep", "the last with a complete listing"} {
			t.Run(tt.name+", "+at, func(t *testing.T) {
				through(t, func(t *testing.T, _ *fakeGraph, d *directory, s *Source, r *source.Runner) {
					read(t, r)
					for i, text := range tt.rows {
						d.change(text)
						if i == len(tt.rows)-1 && at == "the last with a complete listing" {
							if len(tt.rows) > 2 || tt.rows[1] != oddRow {
								t.Skip("a complete listing has whole objects")
							}
							d.set(row(1, odd))
							s.devices.complete = time.Time{}
						}
						if at != "one sweep" {
							read(t, r)
						}
					}
					if at == "one sweep" {
						read(t, r)
					}
					v := known(t, r)
					got := outcome{v.Enabled, v.Compliance, v.Managed, v.Jailbroken, v.Ownership, v.Unreadable, r.Status().Kept}
					if got != tt.want {
						t.Errorf("\n got %+v\nwant %+v", got, tt.want)
					}
				})
			})
		}
	}
}

// TestUnreadableBehindAnother: an object that stands back behind a newer one with its
// deviceId keeps its bad news, of which no sweep tells.
func TestUnreadableBehindAnother(t *testing.T) {
	through(t, func(t *testing.T, _ *fakeGraph, d *directory, _ *Source, r *source.Runner) {
		newer := `{"id":"` + objectID(9) + `","deviceId":"` + deviceID(1) + `","accountEnabled":true,"registrationDateTime":"2026-01-01T00:00:00Z"}`
		d.set(badRow)
		read(t, r)
		d.set(newer)
		read(t, r)
		if v := known(t, r); v.Enabled != decision.Yes {
			t.Fatalf("the newer object does not count: %+v", v)
		}
		d.change(oddRow)
		read(t, r)
		d.remove(objectID(9), "deleted")
		read(t, r)
		if v := known(t, r); v.Enabled != decision.No || v.Jailbroken != decision.Yes || v.Compliance != decision.NonCompliant {
			t.Errorf("the object came back without its bad news: %+v", v)
		}
		if n := r.Status().Kept; n != 1 {
			t.Errorf("the status tells of %d devices, want 1", n)
		}
	})
}

// TestUnreadableAfterHalfAnAnswer: bad news of a poll that failed on its way is not
// lost to the word that follows it.
func TestUnreadableAfterHalfAnAnswer(t *testing.T) {
	through(t, func(t *testing.T, f *fakeGraph, d *directory, _ *Source, r *source.Runner) {
		d.set(goodRow)
		read(t, r)
		f.on(devicesPath, func(url.Values) (int, string) {
			return 200, `{"value":[` + change(`"accountEnabled":false`) + `]}` // cut off: no link
		})
		time.Sleep(minute)
		if err := r.SyncNow(t.Context()); err == nil {
			t.Fatal("half an answer is taken")
		}
		f.on(devicesPath, d.answer)
		d.change(change(`"accountEnabled":null`))
		read(t, r)
		if v := known(t, r); v.Enabled != decision.No {
			t.Errorf("enabled %s after it was disabled", v.Enabled)
		}
	})
}

// TestForgetStays: what an operator lets go of does not come back with the next change of
// any device, nor with the next row about this one that cannot be read.
func TestForgetStays(t *testing.T) {
	through(t, func(t *testing.T, _ *fakeGraph, d *directory, _ *Source, r *source.Runner) {
		d.set(badRow)
		read(t, r)
		d.change(change(`"accountEnabled":null,"isCompliant":"no"`))
		read(t, r)
		if v := known(t, r); v.Enabled != decision.No || v.Compliance != decision.NonCompliant || r.Status().Kept != 1 {
			t.Fatalf("nothing is kept: %+v", v)
		}
		k, err := source.NewDirectory([]*source.Runner{r}, source.DirectoryOptions{}).Forget(entraKey(1), "")
		if err != nil || len(k) != 1 || k[0].Facts != decision.Facts(decision.FactEnabled, decision.FactCompliance) {
			t.Fatalf("forgotten %+v, %v", k, err)
		}
		for _, next := range []string{"", row(2, `"accountEnabled":true,"displayName":"another device"`), change(`"displayName":"new","accountEnabled":"maybe"`), oddRow} {
			if next != "" {
				d.change(next)
			}
			read(t, r)
			v, odd := known(t, r), decision.Facts(decision.FactEnabled, decision.FactCompliance)
			if v.Enabled != decision.Unknown || v.Compliance != decision.ComplianceUnknown || v.Unreadable&odd != odd {
				t.Errorf("after %s: enabled %s, %s, unreadable %b", next, v.Enabled, v.Compliance, v.Unreadable)
			}
		}
		if v := known(t, r); v.Managed != decision.No || v.Jailbroken != decision.Yes {
			t.Errorf("what it said later is not kept: %+v", v)
		}
		d.change(change(`"accountEnabled":false`))
		read(t, r)
		if v := known(t, r); v.Enabled != decision.No {
			t.Error("what it says again does not count")
		}
	})
}
