package entra

import "github.com/gatehouse-project/gatehouse/decision"

// mdmApp is what mdmAppId says about who manages a device (Graph device resource).
type mdmApp uint8

const (
	mdmNone    mdmApp = iota // the object names nobody
	mdmOwn                   // Intune or Configuration Manager, which say so themselves; or unreadable
	mdmPartner               // another system: its verdict stands in the directory alone
)

// The applications of Microsoft's own management systems. The second stands in
// devices that Configuration Manager and Intune manage together: Microsoft names it
// among the values of deviceManagementAppId for dynamic groups.
const (
	appIntune    = "0000000a-0000-0000-c000-000000000000"
	appComanaged = "54b943f8-d761-4f8d-951e-9cea1846db5a"
)

// mergeApp reads mdmAppId. What cannot be read names no partner.
func (d *device) mergeApp(row *deviceRow, t *tally) {
	v, ok := row.MDMApp.read("mdmAppId", t)
	if !ok {
		return
	}
	k, good := decision.CanonicalKey(decision.KindEntra, v) // any GUID but zero
	switch {
	case row.MDMApp.wrong:
		d.app = mdmOwn
	case v == "" || v == zeroGUID:
		d.app = mdmNone
	case !good:
		t.problem("mdmAppId", badID)
		d.app = mdmOwn
	case k.Value == appIntune || k.Value == appComanaged:
		d.app = mdmOwn
	default:
		d.app = mdmPartner
	}
}

// setChannel derives the channel. unnamed says that a managed device whose object
// names nobody is a partner's.
func (d *device) setChannel(unnamed bool) {
	d.Channel = decision.ChannelUnknown
	if d.app == mdmPartner || unnamed && d.app == mdmNone && d.Managed == decision.Yes {
		d.Channel = decision.ChannelPartnerMDM
	}
}
