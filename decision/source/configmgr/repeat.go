package configmgr

import (
	"slices"

	"github.com/gatehouse-project/gatehouse/decision"
)

// A listing that is read page by page may give a row twice. Two rows of one resource
// mostly say the same. What they disagree about is unknown; only a word against the
// device stays.

// idFields are the properties that ids come from.
var idFields = map[string]string{
	decision.KindConfigMgr: "SMSUniqueIdentifier", decision.KindEntra: "AADDeviceID", decision.KindSID: "SID",
}

// repeat joins another row of SMS_R_System into a record. An id that only one of
// them has identifies nothing.
func (c *checks) repeat(r, again *record) {
	if r.gone != again.gone {
		c.problem(classSystem, disagree)
		r.gone = true
	}
	if r.gone {
		return
	}
	kept := make([]decision.Key, 0, len(r.keys))
	lost := map[string]bool{}
	for _, k := range r.keys {
		if slices.Contains(again.keys, k) {
			kept = append(kept, k)
		} else {
			lost[k.Kind] = true
		}
	}
	for _, k := range again.keys {
		if !slices.Contains(r.keys, k) {
			lost[k.Kind] = true
		}
	}
	for kind := range lost {
		c.problem(idFields[kind], disagree)
	}
	r.keys = kept
	same(c, "Client", &r.client, again.client)
	same(c, "Build", &r.build, again.build)
}

// same makes a value unknown about which two rows disagree.
func same[T comparable](c *checks, field string, v *T, again T) (agree bool) {
	if *v == again {
		return true
	}
	var unknown T
	*v = unknown
	c.problem(field, disagree)
	return false
}

func (c *checks) sameFlag(field string, f *flag, again flag) {
	f.join(&again.state)
	if !same(c, field, &f.Tri, again.Tri) {
		f.why = disagree
	}
}

func (c *checks) sameText(field string, t *text, again text) {
	t.join(&again.state)
	if !same(c, field, &t.s, again.s) {
		t.why = disagree
	}
}

// join keeps that a value of another row could not be read.
func (s *state) join(again *state) {
	if again.odd() {
		s.why = again.why
	}
}

func (c *checks) sameNumber(field string, n *number, again number) {
	if n.known == again.known && n.value == again.value {
		n.join(&again.state)
		return
	}
	*n = number{state: state{seen: true, why: disagree}}
	c.problem(field, disagree)
}

// earlier takes the earlier of two dates, where none is the earliest: clients report
// while a site is being read, so that this is no disagreement.
func earlier(m *moment, again moment) {
	m.join(&again.state)
	if again.Before(m.Time) {
		m.Time = again.Time
	}
}

// repeatFacts joins another row of SMS_CombinedDeviceResources into the first.
func (c *checks) repeatFacts(f, again *resourceRow) {
	blocked := f.IsBlocked.Tri == decision.Yes || again.IsBlocked.Tri == decision.Yes
	obsolete := f.IsObsolete.Tri == decision.Yes || again.IsObsolete.Tri == decision.Yes
	worst := max(infection(f), infection(again))
	c.sameFlag("IsBlocked", &f.IsBlocked, again.IsBlocked)
	c.sameFlag("IsObsolete", &f.IsObsolete, again.IsObsolete)
	c.sameFlag("IsClient", &f.IsClient, again.IsClient)
	c.sameText("DeviceOS", &f.DeviceOS, again.DeviceOS)
	c.sameText("DeviceOSBuild", &f.DeviceOSBuild, again.DeviceOSBuild)
	c.sameNumber("ClientActiveStatus", &f.ClientActiveStatus, again.ClientActiveStatus)
	c.sameNumber("ClientCheckPass", &f.ClientCheckPass, again.ClientCheckPass)
	c.sameNumber("DeviceOwner", &f.DeviceOwner, again.DeviceOwner)
	c.sameFlag("EPEnabled", &f.EPEnabled, again.EPEnabled)
	c.sameFlag("EPAntivirusEnabled", &f.EPAntivirusEnabled, again.EPAntivirusEnabled)
	c.sameNumber("EPDeploymentState", &f.EPDeploymentState, again.EPDeploymentState)
	c.sameNumber("EPInfectionStatus", &f.EPInfectionStatus, again.EPInfectionStatus)
	c.sameFlag("EPPendingReboot", &f.EPPendingReboot, again.EPPendingReboot)
	c.sameFlag("EPPendingFullScan", &f.EPPendingFullScan, again.EPPendingFullScan)
	c.sameFlag("EPPendingOfflineScan", &f.EPPendingOfflineScan, again.EPPendingOfflineScan)
	c.sameFlag("EPPendingManualSteps", &f.EPPendingManualSteps, again.EPPendingManualSteps)
	earlier(&f.LastActiveTime, again.LastActiveTime)
	earlier(&f.LastClientCheckTime, again.LastClientCheckTime)
	earlier(&f.LastPolicyRequest, again.LastPolicyRequest)
	earlier(&f.LastDDR, again.LastDDR)
	earlier(&f.SignatureDate, again.SignatureDate)
	if blocked {
		f.IsBlocked.Tri = decision.Yes
	}
	if obsolete {
		f.IsObsolete.Tri = decision.Yes
	}
	if worst >= infectionPending {
		f.EPInfectionStatus = number{value: worst, known: true}
	}
}
