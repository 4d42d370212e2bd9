package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var fixedClock = func() time.Time { return time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC) }

func TestFleetIsDeterministic(t *testing.T) {
	a, b := New(Options{Devices: 300, Seed: 7, Clock: fixedClock}), New(Options{Devices: 300, Seed: 7, Clock: fixedClock})
	if !reflect.DeepEqual(a.Devices(), b.Devices()) {
		t.Error("the same seed made another fleet")
	}
	c := New(Options{Devices: 300, Seed: 8, Clock: fixedClock})
	if a.Devices()[0].EntraID == c.Devices()[0].EntraID {
		t.Error("another seed made the same identifiers")
	}
}

func TestFleetMix(t *testing.T) {
	s := New(Options{Devices: 5000, Clock: fixedClock})
	ids, sick := map[string]string{}, 0
	for i, d := range s.Devices() {
		if i < len(cases) && d.Name != cases[i].name {
			t.Errorf("device %d is %s, want %s", i, d.Name, cases[i].name)
		}
		all := []string{"entra " + d.EntraID.String()}
		if d.Directory != nil {
			all = append(all, "object "+d.Directory.ObjectID.String())
		}
		for _, m := range d.Managed {
			all = append(all, "intune "+m.ID.String())
			if m.Compliance != "compliant" {
				sick++
			}
		}
		for _, m := range d.Machines {
			all = append(all, "machine "+m.ID)
		}
		for _, id := range all {
			_, g, _ := strings.Cut(id, " ")
			if other := ids[g]; other != "" && g != (GUID{}).String() {
				t.Errorf("%s and %s of two devices or services are the same", id, other)
			}
			ids[g] = id
		}
	}
	if sick < 40 || sick > 250 {
		t.Errorf("%d of 5000 devices are not compliant", sick)
	}
}

// TestFleetSize: a large fleet takes a bounded amount of memory per device.
func TestFleetSize(t *testing.T) {
	const n = 20_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := New(Options{Devices: n})
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := (after.HeapAlloc - before.HeapAlloc) / n
	t.Logf("%d bytes a device", per)
	if per > 2500 {
		t.Errorf("%d bytes a device", per)
	}
	runtime.KeepAlive(s)
}

func TestUpdate(t *testing.T) {
	now := fixedClock()
	s := New(Options{Devices: 50, Clock: func() time.Time { return now }})
	d := s.Devices()[0]
	m := d.Managed[0]
	before := m.LastSync
	now = now.Add(time.Minute)
	s.Update(func(*Fleet) { m.Threat = "highSeverity" }) // a partner's report is no check-in
	if !m.LastSync.Equal(before) {
		t.Error("a threat report counts as a check-in")
	}
	s.Update(func(*Fleet) { m.Compliance = "noncompliant" })
	if !m.LastSync.Equal(now) || d.Directory.Compliant != False {
		t.Errorf("after a new state: sync %s, directory %s", m.LastSync, d.Directory.Compliant)
	}
	s.Update(func(*Fleet) { d.Directory.Compliant = True }) // the two databases may disagree
	if d.Directory.Compliant != True || m.Compliance != "noncompliant" {
		t.Error("the disagreement did not last")
	}
	at := now.Add(-time.Hour)
	s.Update(func(*Fleet) { m.Compliance, m.LastSync = "compliant", at })
	if !m.LastSync.Equal(at) {
		t.Errorf("a check-in time that was set is now %s", m.LastSync)
	}
	var fresh *Device
	s.Update(func(f *Fleet) {
		fresh = f.AddDevice(&Device{Name: "new", OS: "Linux", EntraID: GroupFinance, User: f.AddUser(nil), Managed: []*Managed{{Compliance: "compliant"}}})
	})
	s.Update(func(f *Fleet) {
		if f.Device(GroupFinance.String()) != fresh || f.Device(fresh.Managed[0].ID.String()) != fresh || f.User(fresh.User.UPN) != fresh.User || f.Len() != 51 {
			t.Error("the new device cannot be found by its ids")
		}
		f.RemoveDevice(fresh)
		f.RemoveUser(fresh.User)
	})
	s.Update(func(f *Fleet) {
		if f.Device("new") != nil || f.Device(GroupFinance.String()) != nil || f.User(fresh.User.UPN) != nil {
			t.Error("the removed device is still there")
		}
	})
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	s := New(Options{Devices: 200})
	c := (&client{t: t, s: s, base: "https://graph.test", http: &http.Client{Transport: s.Transport()}}).signIn(graphScope)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 20 {
				switch i {
				case 0:
					s.Update(func(f *Fleet) { f.At(j).Directory.Enabled = j%2 == 0; f.AddDevice(nil) })
				case 1:
					s.Fail("graph/users", Fault{Kind: Status, Count: 1})()
				default:
					resp := c.do("GET", "/graph/v1.0/devices/delta?$select=id,accountEnabled", "")
					resp.Body.Close()
				}
				s.Calls()
			}
		})
	}
	wg.Wait()
	s.Check(t)
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		"azureADDeviceId eq '5d0c1b7e-2f64-4a1b-9d0e-6a3f1c2b4d5e'", "complianceState eq 'a' or complianceState eq 'it''s'",
		"contains(deviceName,'x') and not (jailBroken eq 'True')", "lastSyncDateTime gt 2026-11-21T10:00:00.1234567Z",
		"(((", "startswith(Name,'All') eq true", "deviceId eq null", "ResourceID eq 16777301", "'", "",
	} {
		f.Add(s)
	}
	s := New(Options{Devices: 40, Clock: fixedClock})
	f.Fuzz(func(t *testing.T, text string) {
		for _, col := range []*collection{managedFields, deviceFields, userFields, machineFields, combinedFields} {
			c, err := parseFilter(text, col, false)
			if err != nil {
				continue
			}
			col.each(s.fleet, 0, func(_ int64, r row) bool { c.match(r); return true })
		}
	})
}

func FuzzRoutes(f *testing.F) {
	for _, p := range []string{"/graph/v1.0/devices(deviceId='x')", "/cm/AdminService/wmi/SMS_R_System(1)", "/nac/cisco/devices/", "/graph/beta/", "//", "/graph/v1.0/users/a/b/c", "/x/oauth2/v2.0/token"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		for _, m := range []string{"GET", "POST"} {
			if i, params, _, _ := find(m, path); i >= 0 && len(params) < strings.Count(routes[i].path, "{") {
				t.Errorf("%q: route %s with parameters %q", path, routes[i].name, params)
			}
		}
	})
}

// TestRoutesHaveHandlers: every route has one, and its answers are JSON where it says so.
func TestRoutesHaveHandlers(t *testing.T) {
	if len(handlers) != len(routes) {
		t.Errorf("%d handlers for %d routes", len(handlers), len(routes))
	}
	for _, name := range Routes() {
		if handlers[name] == nil {
			t.Errorf("route %s has no handler", name)
		}
	}
	for _, col := range []*collection{managedFields, deviceFields, userFields, riskFields, machineFields, alertFields, systemFields, combinedFields, updateFields, comanagementFields} {
		s := New(Options{Devices: 200, Clock: fixedClock})
		all, _ := col.selection("", true)
		n := 0
		col.each(s.fleet, 0, func(_ int64, r row) bool {
			b := append(appendFields([]byte("{"), r, all, false), '}')
			if !json.Valid(b) {
				t.Errorf("%s: %s", col.entity, b)
			}
			n++
			return true
		})
		if n == 0 {
			t.Errorf("%s: no rows", col.entity)
		}
	}
	if len(deviceFields.fields) > 31 || len(userFields.fields) > 31 {
		t.Error("more fields than a mask of changes has bits")
	}
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				New(Options{Devices: n})
			}
		})
	}
}

func BenchmarkPage(b *testing.B) {
	s := New(Options{Devices: 20_000})
	c := &call{s: s, route: &routes[routeNumber("graph/managedDevices")], spare: new([]byte)}
	fields, _ := managedFields.selection("id,azureADDeviceId,deviceName,userId,userPrincipalName,complianceState,complianceGracePeriodExpirationDateTime,managementAgent,managementState,managedDeviceOwnerType,deviceRegistrationState,azureADRegistered,isEncrypted,jailBroken,isSupervised,operatingSystem,osVersion,androidSecurityPatchLevel,partnerReportedThreatState,lastSyncDateTime,enrolledDateTime,deviceEnrollmentType,configurationManagerClientEnabledFeatures,serialNumber,managementCertificateExpirationDate", false)
	b.ReportAllocs()
	for b.Loop() {
		rows, n, _, _ := c.rows(managedFields, options{fields: fields, limit: 1000})
		if *c.spare = rows; n != 1000 {
			b.Fatal(n)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := New(Options{Devices: 100_000})
	on := false
	b.ReportAllocs()
	for b.Loop() {
		on = !on
		s.Update(func(f *Fleet) { f.At(500).Directory.Enabled = on })
	}
}
