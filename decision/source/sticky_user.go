package source

import (
	"hash/maphash"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// keepUsers takes into t what was said of the same users before and is not said any
// more: that an account is disabled, taken over, or at more than a low risk. Users
// are the same by object id, else by name. can are the facts that are kept. A record of
// a user does not tell a word that nobody can read from none, so a file's users are
// treated like those of a service.
func (t *Table) keepUsers(old *Table, can decision.FactSet) {
	if can == 0 {
		return
	}
	for _, off := range old.userOffs[:old.userRows] {
		if off == dead || !badUser(old.blob(off)[0]) {
			continue
		}
		before := old.userAt(off)
		byID, known := t.userRow(userByID, before.ObjectID)
		if known {
			u := t.userAt(t.userOffs[byID])
			t.setUser(byID, keepUser(u, &before, can))
		}
		byName, named := t.userRow(userByName, before.UPN)
		if !named || known && byName == byID {
			continue
		}
		u := t.userAt(t.userOffs[byName])
		switch {
		case known && int(byName) >= t.userRows: // stands for this user and others: the worst of them
			one := t.userAt(t.userOffs[byID])
			w := worseUser(u, one)
			u.Enabled, u.Compromised, u.Risk = w.Enabled, w.Compromised, w.Risk
			t.setUser(byName, u)
		case known:
		case before.ObjectID == "" || u.ObjectID == "" && int(byName) < t.userRows:
			t.setUser(byName, keepUser(u, &before, can))
		}
	}
}

// badUser reports whether the byte of facts of a user has bad news.
func badUser(facts byte) bool {
	return decision.Tri(facts&3) == decision.No || decision.Tri(facts>>2&3) == decision.Yes || decision.Level(facts>>4) > decision.LevelLow
}

// keepUser returns u with the bad news of before about which u is silent.
func keepUser(u decision.UserRecord, before *decision.UserRecord, can decision.FactSet) decision.UserRecord {
	enabled, risk := can.Has(decision.FactUserEnabled), can.Has(decision.FactUserRisk)
	if enabled && u.Enabled == decision.Unknown && before.Enabled == decision.No {
		u.Enabled = decision.No
	}
	if risk && u.Compromised == decision.Unknown && before.Compromised == decision.Yes {
		u.Compromised = decision.Yes
	}
	if risk && u.Risk == decision.LevelUnknown && before.Risk > decision.LevelLow {
		u.Risk = before.Risk
	}
	return u
}

func (t *Table) userRow(kind uint8, id string) (row uint32, ok bool) {
	if id == "" {
		return 0, false
	}
	slot, _, ok := t.findUser(kind, strings.ToLower(id))
	if !ok {
		return 0, false
	}
	return slotRow(t.byUser.slots[slot]), true
}

// setUser replaces the facts of a user, which are one byte of the record. Only the
// one who made the table may do that, and only until anybody else sees it.
func (t *Table) setUser(row uint32, u decision.UserRecord) {
	blob, own := t.blob(t.userOffs[row]), int(row) < t.userRows
	if own { // joined records are not in the sum
		t.sum -= maphash.Bytes(seed, blob)
	}
	blob[0] = appendUser(nil, &u)[0]
	if own {
		t.sum += maphash.Bytes(seed, blob)
	}
}
