package source

import (
	"hash/maphash"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// keepUsers takes into t what was said of the same users before and is not said any
// more: that an account is disabled, taken over, or at more than a low risk. Users
// are the same by object id, else by name. can says what is kept.
func (t *Table) keepUsers(old *Table, can keeping) {
	if can.users == 0 {
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
			t.setUser(byName, worseUser(u, one))
		case known:
		case before.ObjectID == "" || u.ObjectID == "" && int(byName) < t.userRows:
			t.setUser(byName, keepUser(u, &before, can))
		}
	}
}

// badUser reports whether the byte of facts of a user has bad news.
func badUser(facts byte) bool {
	u := userFacts(facts)
	return u.Enabled == decision.No || u.Compromised == decision.Yes || u.Risk > decision.LevelLow
}

// keepUser returns u with the bad news of before about which u is silent. A level that
// is kept is the least that the present one can be.
func keepUser(u decision.UserRecord, before *decision.UserRecord, can keeping) decision.UserRecord {
	facts := can.users
	if can.file {
		facts &= u.Unreadable
	}
	enabled, risk := facts.Has(decision.FactUserEnabled), facts.Has(decision.FactUserRisk)
	if enabled && u.Enabled == decision.Unknown && before.Enabled == decision.No {
		u.Enabled = decision.No
		u.Unreadable &^= decision.Facts(decision.FactUserEnabled)
	}
	if risk && u.Compromised == decision.Unknown && before.Compromised == decision.Yes {
		u.Compromised = decision.Yes
	}
	if risk && u.Risk == decision.LevelUnknown && before.Risk > decision.LevelLow {
		u.Risk, u.RiskFloor = before.Risk, true
		u.Unreadable &^= decision.Facts(decision.FactUserRisk)
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
