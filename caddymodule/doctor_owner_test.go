package caddymodule

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// phoneBook is a source that can be asked for one user.
type phoneBook struct {
	facts decision.FactSet
	user  decision.UserRecord
	err   error
	asked int
}

func (b *phoneBook) Facts() decision.FactSet { return b.facts }

func (b *phoneBook) LookupUser(context.Context, string, string) (decision.UserRecord, error) {
	b.asked++
	return b.user, b.err
}

// TestAskOwner: the owner of the sample is asked for where a source can tell, and what
// it says counts as if it had listed its users.
func TestAskOwner(t *testing.T) {
	const id = "6f0e0000-1111-4222-8333-944445555666"
	disabled := decision.UserRecord{ObjectID: id, UPN: "ann@example.com", Enabled: decision.No, Risk: decision.LevelHigh}
	for name, tc := range map[string]struct {
		owner string
		book  phoneBook
		asked int
		says  []checkup.State
		knows decision.Tri // whether the user is enabled
		holds bool         // whether the source counts as heard about users
	}{
		"known":        {id, phoneBook{facts: aboutUsers, user: disabled}, 1, []checkup.State{checkup.OK}, decision.No, true},
		"unknown":      {id, phoneBook{facts: aboutUsers, err: source.ErrUnknownUser}, 1, []checkup.State{checkup.Warning}, decision.Unknown, true},
		"no answer":    {id, phoneBook{facts: aboutUsers, err: errors.New("away")}, 1, []checkup.State{checkup.Warning}, decision.Unknown, false},
		"users off":    {id, phoneBook{facts: decision.Facts(decision.FactManaged), user: disabled}, 0, nil, decision.Unknown, false},
		"nobody's own": {"", phoneBook{facts: aboutUsers, user: disabled}, 0, nil, decision.Unknown, false},
	} {
		t.Run(name, func(t *testing.T) {
			main := source.NewRunner(stranger{}, source.RunnerOptions{Name: "entra"})
			defer main.Stop()
			d := &doctor{offline: &offline{app: &App{runtime: runtime{sources: []*pooledSource{{src: &tc.book, runner: main}}}}}}
			p := &decision.Posture{Device: decision.Device{OwnerID: tc.owner}}
			runners, findings, end := d.askOwner(t.Context(), p)
			defer end()
			var says []checkup.State
			for _, f := range findings {
				says = append(says, f.State)
			}
			if tc.book.asked != tc.asked || !slices.Equal(says, tc.says) {
				t.Errorf("asked %d times, %+v, want %v", tc.book.asked, findings, tc.says)
			}
			if (len(runners) == 1) != tc.holds {
				t.Fatalf("%d runners", len(runners))
			}
			who := &decision.Identity{User: decision.User{ID: "corp|ann", ObjectID: id, Name: "ann@example.com"}}
			got := source.NewDirectory(runners, source.DirectoryOptions{}).Posture(who)
			if got.User.Enabled != tc.knows {
				t.Errorf("the owner is enabled %s, want %s", got.User.Enabled, tc.knows)
			}
			if tc.holds && (!runners[0].State().Loaded() || runners[0].State().Authoritative) {
				t.Errorf("state %+v", runners[0].Status())
			}
		})
	}
}
