package source

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// partial is a source that can report some facts, and a sweep of which reports fewer.
type partial struct {
	lister
	can, sweep decision.FactSet // sweep 0: all of can
}

func (p *partial) Facts() decision.FactSet { return p.can }

func (p *partial) Sync(ctx context.Context, s *Sweep) error {
	if p.sweep != 0 {
		s.SetFacts(p.sweep)
	}
	return p.lister.Sync(ctx, s)
}

// TestKeptOfAFile: an empty field of a file is its owner's word, a word that nobody can
// read is none; of a service neither is.
func TestKeptOfAFile(t *testing.T) {
	bad := func(v *decision.Verdict) { v.Encrypted = decision.No }
	empty := func(v *decision.Verdict) { v.Encrypted = decision.Unknown }
	odd := func(v *decision.Verdict) {
		v.Encrypted, v.Unreadable = decision.Unknown, decision.Facts(decision.FactEncrypted)
	}
	type step = func(*decision.Verdict)
	for _, tc := range []struct {
		name    string
		by      decision.Authority
		steps   []step
		want    decision.Tri
		doubted bool
		kept    int
	}{
		{"file, emptied", decision.AuthorityFile, []step{bad, empty}, decision.Unknown, false, 0},
		{"file, unreadable", decision.AuthorityFile, []step{bad, odd}, decision.No, false, 1},
		{"file, unreadable for long", decision.AuthorityFile, []step{bad, odd, odd}, decision.No, false, 1},
		{"file, unreadable, emptied", decision.AuthorityFile, []step{bad, odd, empty}, decision.Unknown, false, 0},
		{"file, emptied, unreadable", decision.AuthorityFile, []step{bad, empty, odd}, decision.Unknown, true, 0},
		{"service, emptied", decision.AuthorityManagement, []step{bad, empty}, decision.No, false, 1},
		{"service, unreadable", decision.AuthorityManagement, []step{bad, odd}, decision.No, false, 1},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(tc.name, func(t *testing.T) {
				bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
					src, o := &lister{}, RunnerOptions{Authority: tc.by, Snapshot: &memory{}}
					r := run(src, o)
					for _, say := range tc.steps {
						if restart {
							r.Stop()
							r = run(src, o)
							r.restore()
						}
						src.set(func(f *fake) { f.devices = append(fleet(30, nil)[1:], one(0, say)) })
						mustSync(t, r)
					}
					v := r.Find([]decision.Key{entra(0)}).Verdict
					if v.Encrypted != tc.want || v.Unreadable.Has(decision.FactEncrypted) != tc.doubted || r.Status().Kept != tc.kept {
						t.Errorf("encrypted %s, unreadable %b, kept %d; want %s, %t, %d",
							v.Encrypted, v.Unreadable, r.Status().Kept, tc.want, tc.doubted, tc.kept)
					}
				})
			})
		}
	}
}

// TestKeptUserFacts: what is said of users is kept as far as the source can report it,
// and a file with the column gone does not.
func TestKeptUserFacts(t *testing.T) {
	enabled, risk := decision.Facts(decision.FactUserEnabled), decision.Facts(decision.FactUserRisk)
	type said struct {
		enabled, compromised decision.Tri
		risk                 decision.Level
	}
	all := said{decision.No, decision.Yes, decision.LevelCompromised}
	for _, tc := range []struct {
		name       string
		by         decision.Authority
		can, sweep decision.FactSet // after the restart
		want       said
	}{
		{"all", decision.AuthorityDirectory, enabled | risk, 0, all},
		{"risk is switched off", decision.AuthorityDirectory, enabled, 0, said{enabled: decision.No}},
		{"users are switched off", decision.AuthorityDirectory, decision.Facts(decision.FactEnabled), 0, said{}},
		{"only risk", decision.AuthorityDirectory, risk, 0, said{decision.Unknown, decision.Yes, decision.LevelCompromised}},
		{"risk may not be read", decision.AuthorityDirectory, enabled | risk, enabled, all},
		{"a file that leaves it out", decision.AuthorityFile, enabled | risk, 0, said{}},
		{"a file that nobody can read there", decision.AuthorityFile, enabled | risk, 0, all},
		{"a file without the member", decision.AuthorityFile, enabled | risk, enabled, said{enabled: decision.No}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				o := RunnerOptions{Authority: tc.by, Snapshot: &memory{}}
				src := &partial{can: enabled | risk}
				src.devices = fleet(30, nil)
				src.users = []decision.UserRecord{{ObjectID: guid(1, 1), Enabled: all.enabled, Compromised: all.compromised, Risk: all.risk}}
				r := run(src, o)
				mustSync(t, r)
				r.Stop()
				src = &partial{can: tc.can, sweep: tc.sweep}
				src.devices, src.users = fleet(30, nil), []decision.UserRecord{{ObjectID: guid(1, 1)}}
				if strings.HasPrefix(tc.name, "a file that nobody") || strings.HasPrefix(tc.name, "a file without") {
					src.users[0].Unreadable = enabled | risk
				}
				r = run(src, o)
				r.restore()
				for range 2 {
					mustSync(t, r)
				}
				u := r.user(guid(1, 1), "")
				if got := (said{u.Enabled, u.Compromised, u.Risk}); got != tc.want {
					t.Errorf("%v, want %v", got, tc.want)
				}
				pass(time.Second)
			})
		})
	}
}
