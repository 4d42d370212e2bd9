package entra

import "github.com/gatehouse-project/gatehouse/decision"

// readable notes whether what the service said last about a fact could be read.
func (d *device) readable(f decision.Fact, ok bool) {
	if ok {
		d.Unreadable &^= decision.Facts(f)
	} else {
		d.Unreadable |= decision.Facts(f)
	}
}

// lacks counts what a whole object should have and has not.
func (row *deviceRow) lacks(t *tally) {
	if !row.AccountEnabled.seen {
		t.problem("accountEnabled", noValue)
	}
}

// keep puts back the bad news of old that is unknown now only because its
// successor cannot be read. Good news ends with it.
func (d *device) keep(old *device) {
	back := func(f decision.Fact, bad bool) bool {
		bad = bad && d.Unreadable.Has(f)
		if bad {
			d.readable(f, true)
		}
		return bad
	}
	if back(decision.FactEnabled, old.Enabled == decision.No) {
		d.Enabled = old.Enabled
	}
	if back(decision.FactManaged, old.Managed == decision.No) {
		d.Managed = old.Managed
	}
	if back(decision.FactJailbroken, old.Jailbroken == decision.Yes) {
		d.Jailbroken = old.Jailbroken
	}
	if back(decision.FactOwnership, old.Ownership == decision.Personal) {
		d.Ownership = old.Ownership
	}
	if back(decision.FactCompliance, old.Compliance == decision.NonCompliant || old.Compliance == decision.ComplianceNotManaged) {
		d.Compliance = old.Compliance
	}
}
