package entra

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const userSelect = "id,accountEnabled,userPrincipalName"

// keepDeleted is how long a deleted account counts as disabled. A token with
// continuous access evaluation lives up to 29 h.
const keepDeleted = 48 * time.Hour

const (
	maxUsers   = 4 * source.DefaultCapacity
	maxUPN     = 256 // bytes
	maxDeleted = source.DefaultCapacity
)

// userRow is one user, or what changed of one.
type userRow struct {
	ID             text    `json:"id"`
	Removed        removal `json:"@removed"`
	AccountEnabled flag    `json:"accountEnabled"`
	UPN            text    `json:"userPrincipalName"`
}

// people remembers the users by object id.
type people struct {
	known map[guid]person
	gone  map[guid]int64 // deleted accounts, and until when that matters

	// lost is what was known of accounts of which the poll under way took it back.
	lost map[guid]decision.Tri
}

type person struct {
	upn     string
	enabled decision.Tri
}

// record is what the directory says. It says of everybody whom it lists whether the
// account is enabled: no word that can be read is no good news.
func (u person) record(oid guid, listed bool) decision.UserRecord {
	r := decision.UserRecord{ObjectID: oid.String(), UPN: u.upn, Enabled: u.enabled}
	if listed && u.enabled == decision.Unknown {
		r.Unreadable = decision.Facts(decision.FactUserEnabled)
	}
	return r
}

func newPeople() people {
	return people{known: map[guid]person{}, gone: map[guid]int64{}}
}

// decodeUser reads one row.
func decodeUser(raw []byte) (row userRow, oid guid, err error) {
	if err := json.Unmarshal(raw, &row); err != nil || len(raw) == 0 || raw[0] != '{' {
		return row, oid, errNoObject
	}
	oid, ok := parseGUID(row.ID.value)
	if !ok {
		return row, oid, errNoID
	}
	return row, oid, nil
}

// apply takes one row over. Guests and disabled accounts are users like others.
func (p *people) apply(raw []byte, now time.Time, t *tally) error {
	row, oid, err := decodeUser(raw)
	if err != nil {
		t.unusable("user", err)
		return nil
	}
	if row.Removed {
		p.remove(oid, now)
		return nil
	}
	u, ok := p.known[oid]
	if !ok && len(p.known) == maxUsers {
		return fmt.Errorf("more than %d users", maxUsers)
	}
	if _, gone := p.gone[oid]; gone && !ok {
		u.enabled = decision.No // until the service says that the account came back
	}
	// Null takes back no "disabled". The Runner would keep that too, of what a sweep
	// brought it: not of an account that was deleted or disabled since the last one.
	if v, ok := row.AccountEnabled.enabled(t); ok && (v != decision.Unknown || u.enabled != decision.No) {
		p.lose(oid, u.enabled, v)
		u.enabled = v
	}
	if v, ok := row.UPN.read("userPrincipalName", t); ok {
		u.upn = upn(v, t)
	}
	delete(p.gone, oid)
	p.known[oid] = u
	return nil
}

// upn accepts a user principal name. One that is none is left out: the object id
// identifies the user.
func upn(v string, t *tally) string {
	if len(v) > maxUPN || strings.ContainsFunc(v, unprintable) {
		t.problem("userPrincipalName", badText)
		return ""
	}
	return v
}

// remove forgets a user but not that the account is gone: the person may hold a
// token that still looks good. The name may belong to somebody else soon.
func (p *people) remove(oid guid, now time.Time) {
	delete(p.known, oid)
	delete(p.lost, oid)
	if len(p.gone) < maxDeleted {
		p.gone[oid] = now.Add(keepDeleted).Unix()
	}
}

// forget drops deleted accounts that no longer matter.
func (p *people) forget(now time.Time) (changed bool) {
	for oid, until := range p.gone {
		if now.Unix() >= until {
			delete(p.gone, oid)
			changed = true
		}
	}
	return changed
}

// vanished marks as deleted who was in the listing before and is not in the next
// one. These are few, as deletions are reported at once. More of them are an
// accident of the listing, which must not lock people out: then nothing is known
// of them any more. It reports how many these are.
func (p *people) vanished(before *people, now time.Time) (doubtful int) {
	for oid, until := range before.gone {
		if _, back := p.known[oid]; !back {
			p.gone[oid] = until
		}
	}
	var lost []guid
	for oid := range before.known {
		if _, ok := p.known[oid]; !ok {
			lost = append(lost, oid)
		}
	}
	if len(lost) > 3 && len(lost) > len(before.known)/50 {
		return len(lost)
	}
	for _, oid := range lost {
		if _, ok := p.gone[oid]; !ok {
			p.remove(oid, now)
		}
	}
	return 0
}

// keepDisabled takes over who was disabled or deleted and of whom a complete listing
// does not say whether that is over.
func (p *people) keepDisabled(before *people) {
	for oid, u := range p.known {
		if u.enabled != decision.Unknown {
			continue
		}
		if _, gone := before.gone[oid]; gone || before.known[oid].enabled == decision.No {
			u.enabled = decision.No
			p.known[oid] = u
		}
	}
}

// silentRetry is how long no complete listing follows one that no longer told who is
// enabled: it takes a call for every hundred users.
const silentRetry = 30 * time.Minute

// readUsers brings the users up to date. A complete listing that no longer tells who
// is enabled is an error, and what was known stays.
func (s *Source) readUsers(ctx context.Context, now time.Time) error {
	again, err := s.follow(ctx, &s.users, msgraph.DirectoryUsers, now, func(raw json.RawMessage) error {
		return s.people.apply(raw, now, &s.userTally)
	})
	if n := s.people.restore(); n > 0 {
		s.o.Logger.Warn("changes of users no longer tell accountEnabled, listing all users", "users", n)
		s.users.link, again = "", true // until a complete listing is taken over
	}
	if err != nil {
		return err
	}
	if left := s.silentUntil.Sub(now); again && left > 0 && left <= silentRetry {
		return s.silentErr
	}
	if again {
		fresh, counted := newPeople(), tally{}
		link, err := s.list(ctx, msgraph.DirectoryUsers, usersPath, userSelect, func(raw json.RawMessage) error {
			return fresh.apply(raw, now, &counted)
		})
		if err != nil {
			return err
		}
		if err := fresh.silent(&s.people); err != nil {
			s.silentUntil, s.silentErr = now.Add(silentRetry), err
			return err
		}
		fresh.keepDisabled(&s.people)
		fresh.lost = nil
		if n := fresh.vanished(&s.people, now); n > 0 {
			s.o.Logger.Warn("many users are no longer listed; they count as unknown, not as deleted", "users", n)
		}
		s.people, s.userTally, s.dirty = fresh, counted, true
		s.users = feed{link: link, complete: now}
	}
	if s.people.forget(now) {
		s.dirty = true
	}
	return nil
}

// emitUsers hands the users, with what is known of their risk, to the sweep.
func (s *Source) emitUsers(sweep *source.Sweep) {
	clean := finding{}
	if s.o.RiskyUsers && s.risk.whole {
		clean = finding{level: decision.LevelNone, compromised: decision.No}
	}
	record := func(oid guid, u person, listed bool) {
		f, ok := s.risk.found[oid]
		if !ok {
			f = clean
		}
		rec := u.record(oid, listed)
		f.tell(&rec)
		sweep.User(rec)
	}
	for oid, u := range s.people.known {
		record(oid, u, true)
	}
	for oid := range s.people.gone {
		record(oid, person{enabled: decision.No}, false)
	}
	for oid := range s.risk.found {
		_, listed := s.people.known[oid]
		_, gone := s.people.gone[oid]
		if !listed && !gone {
			record(oid, person{}, false)
		}
	}
}
