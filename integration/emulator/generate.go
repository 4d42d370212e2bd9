package emulator

import (
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// padded is n with at least 7 digits.
func padded(n int) string { return strconv.Itoa(10_000_000 + n)[1:] }

// maker makes devices and users. The same seed and time make the same ones.
type maker struct {
	rng    *rand.Rand
	now    time.Time
	made   int // devices so far
	people int // users so far
}

// Groups of which generated users are members.
var (
	GroupEveryone = MustGUID("9a000000-0000-4000-8000-000000000001") // every generated user
	GroupFinance  = MustGUID("9a000000-0000-4000-8000-000000000002") // every tenth user

	everyone = []GUID{GroupEveryone}
	finance  = []GUID{GroupEveryone, GroupFinance}
)

// current are the updates of a computer that misses none.
var current = []UpdateState{
	{CI: 16790001, Article: "5046617", Name: "2026-11 Cumulative Update", Status: 3},
	{CI: 16790002, Article: "890830", Name: "Malicious Software Removal Tool", Status: 1},
}

// newFleet makes the named cases first and then the crowd.
func newFleet(n int, seed uint64, now time.Time) *Fleet {
	m := &maker{rng: rand.New(rand.NewPCG(seed, 0x6761746568)), now: now.Truncate(time.Second)}
	f := &Fleet{
		maker: m, Settings: Settings{SecureByDefault: true, CheckinDays: 30},
		devices: make([]*Device, 0, n), users: make([]*User, 0, n),
		Connectors: []*Connector{{
			ID: MustGUID("fc780465-2017-40d4-a0c5-307022471b92"), State: "enabled",
			LastHeartbeat: m.now.Add(-5 * time.Minute), ThresholdDays: 7, Windows: true, IOS: true, Android: true,
		}},
	}
	for i := range n {
		d := &Device{User: m.user()}
		if i < len(cases) {
			d.Name = cases[i].name
			cases[i].make(m, d)
		} else {
			m.other(d)
		}
		f.place(d)
	}
	f.reindex()
	return f
}

// guid is an identifier; zero is written in full, as Intune does.
func (m *maker) guid() (g GUID) {
	a, b := m.rng.Uint64(), m.rng.Uint64()
	for i := range 8 {
		g[i], g[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	g[6], g[8] = g[6]&0x0f|0x40, g[8]&0x3f|0x80 // version 4, as the services use
	return g
}

// ago is a whole second in the time before now.
func (m *maker) ago(limit time.Duration) time.Time {
	return m.now.Add(-time.Duration(m.rng.Int64N(int64(limit)))).Truncate(time.Second)
}

func (m *maker) user() *User {
	i := m.people
	n := itoa(i)
	m.people++
	u := &User{OID: m.guid(), UPN: "user" + n + "@example.com", DisplayName: "User " + n, Enabled: true, Groups: everyone}
	if i%10 == 0 {
		u.Groups = finance
	}
	return u
}

// other makes a device that is no named case: mostly healthy, 3 % not.
func (m *maker) other(d *Device) {
	switch p := m.rng.IntN(100); {
	case p < 45:
		m.laptop(d)
	case p < 65:
		m.comanaged(d, true)
	case p < 80:
		m.phone(d)
	case p < 90:
		m.android(d)
	case p < 97:
		m.mac(d)
	default:
		cases[m.rng.IntN(len(cases))].make(m, d)
	}
}

// complete gives identifiers to what has none.
func (m *maker) complete(d *Device) {
	m.made++
	if d.Name == "" {
		d.Name = "lt-" + padded(m.made)
	}
	if d.Serial == "" {
		d.Serial = "SN" + padded(m.made)
	}
	if d.Directory != nil && d.Directory.ObjectID.IsZero() {
		d.Directory.ObjectID = m.guid()
	}
	for _, r := range d.Managed {
		if r.ID.IsZero() {
			r.ID = m.guid()
		}
	}
	for _, x := range d.Machines {
		if x.ID == "" {
			a, b := m.guid(), m.guid()
			x.ID = hex.EncodeToString(append(a[:], b[:4]...))
		}
	}
	if r := d.ConfigMgr; r != nil {
		if r.ID == 0 {
			r.ID = 16777216 + m.made
		}
		if r.SMSID.IsZero() {
			r.SMSID = m.guid()
		}
		if r.SID == "" {
			r.SID = sid(m.made)
		}
		if d.Directory != nil && d.Directory.TrustType == "ServerAd" && d.Directory.OnPremisesSID == "" {
			d.Directory.OnPremisesSID = r.SID
		}
	}
}

// directory joins the device to Entra ID.
func (m *maker) directory(d *Device, trust, owner string) *Directory {
	d.EntraID = m.guid()
	d.Directory = &Directory{
		ObjectID: m.guid(), Enabled: true, Compliant: True, Managed: True, TrustType: trust, Ownership: owner,
		Registered: m.ago(400 * 24 * time.Hour), LastSignIn: m.ago(72 * time.Hour),
		ComplianceExpires: m.now.Add(30 * 24 * time.Hour),
	}
	return d.Directory
}

// enrol adds an Intune record that is compliant.
func (m *maker) enrol(d *Device, agent, owner, enrolment string) *Managed {
	r := &Managed{
		ID: m.guid(), Compliance: "compliant", Agent: agent, State: "managed", Registration: "registered",
		OwnerType: owner, EnrollmentType: enrolment, JailBroken: "Unknown", Threat: "unknown", Encrypted: true,
		LastSync: m.ago(8 * time.Hour), Enrolled: m.ago(400 * 24 * time.Hour),
		CertificateExpires: m.now.Add(200 * 24 * time.Hour),
	}
	d.Managed = append(d.Managed, r)
	return r
}

// sensor onboards the device to Defender.
func (m *maker) sensor(d *Device) *Machine {
	x := &Machine{
		Risk: "None", Exposure: "Low", Health: "Active", Onboarding: "onboarded", Value: "Normal",
		FirstSeen: m.ago(400 * 24 * time.Hour), LastSeen: m.ago(24 * time.Hour),
	}
	d.Machines = append(d.Machines, x)
	return x
}

// laptop is joined to the directory, managed by Intune alone, and healthy.
func (m *maker) laptop(d *Device) {
	d.OS, d.OSVersion = "Windows", "10.0.26200.7171"
	m.directory(d, "AzureAd", "Company")
	m.enrol(d, "mdm", "company", "windowsAzureADJoin").Threat = "secured"
	m.sensor(d)
}

// comanaged is hybrid joined with both agents; ours: the compliance workload is Intune's.
func (m *maker) comanaged(d *Device, ours bool) {
	d.OS, d.OSVersion = "Windows", "10.0.26100.7171"
	m.directory(d, "ServerAd", "Company")
	d.Directory.MDMApp = appComanaged
	r := m.enrol(d, "configurationManagerClientMdm", "company", "windowsCoManagement")
	r.Workloads = &Workloads{Inventory: true, ModernApps: true, DeviceConfiguration: ours, CompliancePolicy: ours, WindowsUpdate: ours}
	cm := m.resource(d)
	cm.MDMEnrolled, cm.PolicyPresent, cm.CoManagementFlags = true, true, 8193
	if ours {
		cm.CoManagementFlags = 12543
	} else {
		r.Compliance = "configManager"
		d.Directory.Compliant = Null
	}
	m.sensor(d)
}

// resource gives the device a healthy Configuration Manager client.
func (m *maker) resource(d *Device) *Resource {
	d.ConfigMgr = &Resource{
		SMSID: m.guid(), Active: true, Client: true, Approved: true, ClientActive: 1, ClientCheck: 1,
		EPEnabled: true, EPAntivirus: true, EPDeployment: 3, EPInfection: 1, EPSignatures: m.ago(20 * time.Hour),
		LastActive: m.ago(4 * time.Hour), LastPolicy: m.ago(2 * time.Hour), Updates: current,
	}
	return d.ConfigMgr
}

// phone is personal; whether it is jailbroken is reported.
func (m *maker) phone(d *Device) {
	d.OS, d.OSVersion = "iOS", "19.1"
	m.directory(d, "Workplace", "Personal")
	r := m.enrol(d, "mdm", "personal", "userEnrollment")
	r.JailBroken, r.Supervised = "False", false
	d.Directory.Rooted = False
}

// android is managed through Google's policy controller.
func (m *maker) android(d *Device) {
	d.OS, d.OSVersion = "Android", "16"
	m.directory(d, "Workplace", "Company")
	r := m.enrol(d, "googleCloudDevicePolicyController", "company", "userEnrollment")
	r.JailBroken, r.PatchLevel, r.Threat = "False", "2026-11-01", "secured"
	d.Directory.Rooted = False
}

func (m *maker) mac(d *Device) {
	d.OS, d.OSVersion = "macOS", "26.1"
	m.directory(d, "AzureAd", "Company")
	m.enrol(d, "mdm", "company", "appleBulkWithUser")
	m.sensor(d)
}
