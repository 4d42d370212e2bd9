package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const (
	riskPath   = "/v1.0/identityProtection/riskyUsers"
	riskSelect = "id,riskLevel,riskState"
	riskPage   = "500" // the most that the service gives

	// riskEvery is the least time between two readings: the service allows one
	// request per second to all applications of a tenant together.
	riskEvery = time.Minute
	// riskRetry is when a missing licence or permission is tried again.
	riskRetry = 15 * time.Minute
	// riskKeep is how long nobody's absence from the last good list counts while
	// new ones fail. Findings stay until a good list lacks them.
	riskKeep = 5 * time.Minute

	maxRisky = source.DefaultCapacity
)

var riskStates = []string{"atRisk", "confirmedCompromised"}

// finding is what Identity Protection says about a user at risk.
type finding struct {
	level       decision.Level
	compromised decision.Tri
	unreadable  bool // a state or a level that nobody knows: it may be the worst
}

// tell writes it into a record of the user.
func (f finding) tell(u *decision.UserRecord) {
	u.Risk, u.Compromised = f.level, f.compromised
	if f.unreadable {
		u.Unreadable |= decision.Facts(decision.FactUserRisk)
	}
}

// riskList is who is at risk.
type riskList struct {
	found    map[guid]finding
	whole    bool      // absence from found means no risk
	supplied bool      // the fact can be read at all
	split    bool      // the service does not take both states in one filter
	good     time.Time // when the last complete list was asked for
	next     time.Time // not before
	err      error     // why the last attempt failed
	tally    tally     // of the last list
}

// riskRow is one risky user.
type riskRow struct {
	ID    text `json:"id"`
	Level text `json:"riskLevel"`
	State text `json:"riskState"`
}

// decodeRisk reads one row. risky is false for somebody whose risk was remediated,
// dismissed or confirmed safe, whatever level is still shown.
func decodeRisk(raw []byte, t *tally) (oid guid, f finding, risky bool, err error) {
	var row riskRow
	if err := json.Unmarshal(raw, &row); err != nil || len(raw) == 0 || raw[0] != '{' {
		return oid, f, false, errNoObject
	}
	oid, ok := parseGUID(row.ID.value)
	if !ok {
		return oid, f, false, errNoID
	}
	state, _ := row.State.read("riskState", t)
	level, _ := row.Level.read("riskLevel", t)
	switch strings.ToLower(state) {
	case "none", "confirmedsafe", "remediated", "dismissed":
		return oid, f, false, nil
	case "atrisk":
		f.compromised = decision.No
	case "confirmedcompromised":
		f.compromised = decision.Yes
	default:
		t.problem("riskState", unknownValue) // at risk of something: the level says how much at least
		f.unreadable = true
	}
	switch strings.ToLower(level) {
	case "low":
		f.level = decision.LevelLow
	case "medium":
		f.level = decision.LevelMedium
	case "high":
		f.level = decision.LevelHigh
	case "hidden": // no licence to see it
	case "none":
		t.problem("riskLevel", "none of a user at risk")
	default:
		t.problem("riskLevel", unknownValue)
		f.unreadable = true
	}
	return oid, f, true, nil
}

// readRisk brings the list up to date if that is due. Only an end of ctx is an
// error; what the service refuses is kept in s.risk.
func (s *Source) readRisk(ctx context.Context, now time.Time) error {
	r := &s.risk
	if now.Before(r.next) && r.next.Sub(now) <= riskRetry { // a clock may be set back
		s.settleRisk(now, r.err)
		return nil
	}
	found, err := s.listRisk(ctx)
	if err != nil && ctx.Err() != nil {
		return err
	}
	r.next = now.Add(riskEvery)
	var me *msgraph.Error
	denied := errors.As(err, &me) && (me.Kind == msgraph.KindPermission || me.Kind == msgraph.KindNotFound || me.Kind == msgraph.KindBadRequest)
	switch {
	case err == nil:
		s.dirty = s.dirty || !sameFindings(r.found, found)
		r.found, r.good = found, now
	case denied:
		r.next = now.Add(riskRetry)
	}
	if supplied := !denied; supplied != r.supplied {
		r.supplied, s.dirty = supplied, true
	}
	switch {
	case err != nil && r.err == nil && denied:
		s.o.Logger.Warn("user risk is not available", "error", err)
	case err != nil && r.err == nil:
		s.o.Logger.Warn("user risk cannot be read now", "error", err)
	case err == nil && r.err != nil:
		s.o.Logger.Info("user risk is read again")
	}
	s.settleRisk(now, err)
	return nil
}

// settleRisk decides what absence from the list means now.
func (s *Source) settleRisk(now time.Time, err error) {
	r := &s.risk
	r.err = err
	whole := r.supplied && !r.good.IsZero() && (err == nil || now.Sub(r.good) < riskKeep)
	if whole != r.whole {
		r.whole, s.dirty = whole, true
	}
}

// listRisk asks for all users at risk: in one list, or, where the service does not
// take that filter, in one per state.
func (s *Source) listRisk(ctx context.Context) (map[guid]finding, error) {
	found := map[guid]finding{}
	s.risk.tally = tally{}
	if !s.risk.split {
		err := s.listRiskOf(ctx, found, riskStates...)
		var me *msgraph.Error
		if !errors.As(err, &me) || me.Kind != msgraph.KindBadRequest {
			return found, err
		}
	}
	for _, state := range riskStates {
		if err := s.listRiskOf(ctx, found, state); err != nil {
			return nil, err
		}
	}
	s.risk.split = true
	return found, nil
}

func (s *Source) listRiskOf(ctx context.Context, found map[guid]finding, states ...string) error {
	terms := make([]string, len(states))
	for i, state := range states {
		terms[i] = "riskState eq '" + state + "'"
	}
	_, err := s.o.Client.Pages(ctx, msgraph.Request{
		Endpoint: msgraph.RiskyUsers, Path: riskPath, Priority: "Low",
		Query: url.Values{"$filter": {strings.Join(terms, " or ")}, "$select": {riskSelect}, "$top": {riskPage}},
	}, func(raw json.RawMessage) error {
		oid, f, risky, err := decodeRisk(raw, &s.risk.tally)
		switch {
		case err != nil:
			return fmt.Errorf("risky user: %w", err) // somebody is at risk and we do not know who
		case risky && len(found) == maxRisky:
			return fmt.Errorf("more than %d risky users", maxRisky)
		case risky:
			found[oid] = worse(found[oid], f)
		}
		return nil
	})
	return err
}

// worse joins two rows of one user, who may change state between two lists.
func worse(a, b finding) finding {
	if b.compromised == decision.Yes || a.compromised == decision.Unknown {
		a.compromised = b.compromised
	}
	a.level = max(a.level, b.level)
	a.unreadable = a.unreadable || b.unreadable
	return a
}

func sameFindings(a, b map[guid]finding) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// confirmed says how good the sweep is. A list that is a little late makes
// everything as old as it is. One that is later than that is told to operators;
// what was said about devices is as good as ever then.
func (r *riskList) confirmed(now time.Time) (time.Time, error) {
	switch {
	case r.whole && r.err != nil:
		return r.good, nil
	case r.whole, !r.supplied:
		return time.Time{}, nil
	}
	return time.Time{}, r.err
}

// state is the word for Stats.
func (r *riskList) state(wanted bool) string {
	switch {
	case !wanted:
		return riskOff
	case r.err == nil && r.whole:
		return riskCurrent
	case r.supplied:
		return riskLate
	}
	return riskDenied
}
