package configmgr

import (
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The reasons for which a value counts as unknown.
const (
	wrongType    = "wrong type"
	unknownValue = "unknown value"
	badDate      = "bad date"
	inFuture     = "in the future"
	badID        = "bad id"
	badText      = "bad text"
	missing      = "missing" // of what the site itself knows of every client
	disagree     = "rows disagree"
	otherDevice  = "about another device"
)

// futureLimit is how far a date may be ahead of us: a later one would keep a device
// looking fresh for ever.
const futureLimit = 24 * time.Hour

// checks makes what cannot be used of a row unknown, and counts it. Null is no
// fault: it is how the site says that a client never reported something. It is safe
// for concurrent use, as the calls of a look-up run side by side.
type checks struct {
	now time.Time

	mu    sync.Mutex
	tally map[string]int
}

func (s *Source) checks() *checks { return &checks{now: s.o.Now(), tally: map[string]int{}} }

// problem counts one value. Both words are constants: the set is closed.
func (c *checks) problem(field, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally[field+": "+reason]++
}

func (c *checks) counted() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.tally)
}

// value counts a value that could not be read.
func (c *checks) value(field string, s *state) {
	if s.why != "" {
		c.problem(field, s.why)
	}
}

// enum checks one of the values up to last. 0 is also how WMI says none.
func (c *checks) enum(field string, n *number, last int64) {
	if n.known && (n.value < 0 || n.value > last) {
		*n = number{state: state{seen: true, why: unknownValue}}
	}
	c.value(field, &n.state)
}

func (c *checks) date(field string, m *moment) {
	if m.After(c.now.Add(futureLimit)) {
		*m = moment{state: state{seen: true, why: inFuture}}
	}
	c.value(field, &m.state)
}

// system checks a row of SMS_R_System.
func (c *checks) system(r *systemRow) {
	c.value("Name", &r.Name.state)
	c.value("NetbiosName", &r.NetbiosName.state)
	c.value("Client", &r.Client.state)
	c.value("Obsolete", &r.Obsolete.state)
	c.value("Decommissioned", &r.Decommissioned.state)
	c.id("SMSUniqueIdentifier", decision.KindConfigMgr, &r.SMSUniqueIdentifier)
	c.id("AADDeviceID", decision.KindEntra, &r.AADDeviceID)
	c.id("SID", decision.KindSID, &r.SID)
	c.build("Build", &r.Build)
}

// id empties a text that is no id of its kind. Only zeroes are how a site writes
// that a device has none, and other accounts than those of a domain have a SID too.
func (c *checks) id(field, kind string, t *text) {
	_, ok := decision.CanonicalKey(kind, t.s)
	isSID := hasPrefixFold(t.s, "S-1-")
	switch {
	case t.s == "":
	case kind == decision.KindEntra && strings.Trim(t.s, "{0-}") == "", kind == decision.KindSID && isSID && !isDomainSID(t.s):
		t.s = ""
	case !ok, kind == decision.KindSID && !isSID:
		t.s, t.why = "", badID
	}
	c.value(field, &t.state)
}

func isDomainSID(s string) bool { return hasPrefixFold(s, "S-1-5-") }

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// build empties a version that cannot be read.
func (c *checks) build(field string, t *text) {
	if _, ok := build(t.s); !ok && strings.Count(t.s, ".") >= 2 {
		t.s, t.why = "", badText
	}
	c.value(field, &t.state)
}

// resource checks a row of SMS_CombinedDeviceResources.
func (c *checks) resource(r *resourceRow) {
	c.value("Name", &r.Name.state)
	if _, ok := platform(r.DeviceOS.s); !ok && r.DeviceOS.s != "" {
		r.DeviceOS.s, r.DeviceOS.why = "", unknownValue
	}
	c.value("DeviceOS", &r.DeviceOS.state)
	c.build("DeviceOSBuild", &r.DeviceOSBuild)
	c.value("IsClient", &r.IsClient.state)
	c.value("IsBlocked", &r.IsBlocked.state)
	c.value("IsObsolete", &r.IsObsolete.state)
	c.enum("ClientActiveStatus", &r.ClientActiveStatus, clientActive)
	c.enum("ClientCheckPass", &r.ClientCheckPass, checkNotRun)
	c.enum("DeviceOwner", &r.DeviceOwner, ownerPersonal)
	c.date("LastActiveTime", &r.LastActiveTime)
	c.date("LastClientCheckTime", &r.LastClientCheckTime)
	c.date("LastPolicyRequest", &r.LastPolicyRequest)
	c.date("LastDDR", &r.LastDDR)
	c.value("EPEnabled", &r.EPEnabled.state)
	c.value("EPAntivirusEnabled", &r.EPAntivirusEnabled.state)
	c.enum("EPDeploymentState", &r.EPDeploymentState, deploymentReboot)
	c.enum("EPInfectionStatus", &r.EPInfectionStatus, infectionFailed)
	c.value("EPPendingReboot", &r.EPPendingReboot.state)
	c.value("EPPendingFullScan", &r.EPPendingFullScan.state)
	c.value("EPPendingOfflineScan", &r.EPPendingOfflineScan.state)
	c.value("EPPendingManualSteps", &r.EPPendingManualSteps.state)
	c.date("EPAntivirusSignatureLastUpdateDateTime", &r.SignatureDate)
}

// client counts what the site itself should know of a record that counts as a
// client: half of it makes the verdict unknown.
func (c *checks) client(r *record) {
	switch b := &r.facts.IsBlocked; {
	case !r.hasFacts:
		c.problem(classResources, missing)
	case b.Tri == decision.Unknown && b.why == "":
		c.problem("IsBlocked", missing)
	}
}

// update checks a row of SMS_UpdateComplianceStatus, in which only the article may
// be null.
func (c *checks) update(r *updateRow) {
	c.enum("Status", &r.Status, updateInstalled)
	if !r.Status.known && r.Status.why == "" {
		c.problem("Status", missing)
	}
	if !r.CIID.known && r.CIID.why == "" {
		c.problem("CI_ID", missing)
	}
	c.value("CI_ID", &r.CIID.state)
	c.value("ArticleID", &r.ArticleID.state)
}

// comanagement checks a row of SMS_Client_ComanagementState.
func (c *checks) comanagement(r *comanagementRow) {
	c.value("MDMEnrolled", &r.MDMEnrolled.state)
	c.value("ComgmtPolicyPresent", &r.ComgmtPolicyPresent.state)
}
