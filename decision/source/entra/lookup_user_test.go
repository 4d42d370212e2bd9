package entra

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// TestLookupUser: one user is what the sweep would say, and an answer that cannot be
// used, or is about somebody else, says nothing.
func TestLookupUser(t *testing.T) {
	const name = "ann@example.com"
	id := objectID(7)
	person := `{"id":"` + id + `","accountEnabled":true,"userPrincipalName":"Ann@example.com"}`
	risk := func(state, level string) string {
		return `{"id":"` + id + `","riskState":"` + state + `","riskLevel":"` + level + `"}`
	}
	type answer struct {
		status int
		body   string
	}
	gone := answer{404, failure("ResourceNotFound")}
	user := func(enabled decision.Tri, level decision.Level, compromised decision.Tri) decision.UserRecord {
		return decision.UserRecord{ObjectID: id, UPN: "Ann@example.com", Enabled: enabled, Risk: level, Compromised: compromised}
	}
	unread := func(u decision.UserRecord, f decision.Fact) decision.UserRecord {
		u.Unreadable = decision.Facts(f)
		return u
	}
	for what, tt := range map[string]struct {
		by, upn string
		o       Options
		user    answer
		risk    answer
		want    decision.UserRecord
		unknown bool // an error that says so
		fails   bool
	}{
		"by id":              {by: id, o: Options{RiskyUsers: true}, user: answer{200, person}, risk: gone, want: user(decision.Yes, decision.LevelNone, decision.No)},
		"by name":            {upn: name, o: Options{RiskyUsers: true}, user: answer{200, person}, risk: gone, want: user(decision.Yes, decision.LevelNone, decision.No)},
		"without risk":       {by: id, o: Options{Users: true}, user: answer{200, person}, want: user(decision.Yes, decision.LevelUnknown, decision.Unknown)},
		"at risk":            {by: id, o: Options{RiskyUsers: true}, user: answer{200, person}, risk: answer{200, risk("atRisk", "high")}, want: user(decision.Yes, decision.LevelHigh, decision.No)},
		"remediated":         {by: id, o: Options{RiskyUsers: true}, user: answer{200, person}, risk: answer{200, risk("remediated", "high")}, want: user(decision.Yes, decision.LevelNone, decision.No)},
		"taken over":         {by: id, o: Options{RiskyUsers: true}, user: answer{200, person}, risk: answer{200, risk("confirmedCompromised", "low")}, want: user(decision.Yes, decision.LevelLow, decision.Yes)},
		"enabled is null":    {by: id, o: Options{Users: true}, user: answer{200, `{"id":"` + id + `","accountEnabled":null,"userPrincipalName":"Ann@example.com"}`}, want: unread(user(decision.Unknown, 0, 0), decision.FactUserEnabled)},
		"a new state":        {by: id, o: Options{RiskyUsers: true}, user: answer{200, person}, risk: answer{200, risk("atLarge", "low")}, want: unread(user(decision.Yes, decision.LevelLow, 0), decision.FactUserRisk)},
		"users are off":      {by: id, fails: true},
		"no such user":       {by: id, o: Options{Users: true}, user: answer{404, failure("Request_ResourceNotFound")}, fails: true, unknown: true},
		"404 of a proxy":     {by: id, o: Options{Users: true}, user: answer{404, `{}`}, fails: true},
		"another id":         {by: objectID(8), o: Options{Users: true}, user: answer{200, person}, fails: true},
		"another name":       {upn: "bob@example.com", o: Options{Users: true}, user: answer{200, person}, fails: true},
		"no object":          {by: id, o: Options{Users: true}, user: answer{200, `[]`}, fails: true},
		"risk is forbidden":  {by: id, o: Options{RiskyUsers: true}, user: answer{200, person}, risk: answer{403, failure("Forbidden")}, fails: true},
		"risk of another":    {by: id, o: Options{RiskyUsers: true}, user: answer{200, person}, risk: answer{200, `{"id":"` + objectID(9) + `","riskState":"none"}`}, fails: true},
		"a name that climbs": {upn: "../devices", o: Options{Users: true}, fails: true, unknown: true},
		"no name":            {o: Options{Users: true}, fails: true, unknown: true},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				path := tt.by
				if path == "" {
					path = tt.upn
				}
				if tt.user.status != 0 {
					f.say("/v1.0/users/"+path, tt.user.status, tt.user.body)
				}
				if tt.risk.status != 0 {
					f.say(riskPath+"/"+id, tt.risk.status, tt.risk.body)
				}
				s, done := newSource(t, f, tt.o)
				defer done()
				got, err := s.LookupUser(t.Context(), tt.by, tt.upn)
				if got != tt.want || (err != nil) != tt.fails || errors.Is(err, source.ErrUnknownUser) != tt.unknown {
					t.Errorf("LookupUser = %+v, %v, want %+v", got, err, tt.want)
				}
				if n := len(f.calls()); tt.user.status == 0 && n > 0 {
					t.Errorf("%d calls", n)
				}
			})
		})
	}
}
