package nac

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
	"github.com/gatehouse-project/gatehouse/decision/source/sourcetest"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/emulator/emulatortest"
)

// connect starts an emulator and makes a source of it.
func connect(t *testing.T, devices int) (*emulator.Server, *Source, *emulatortest.Clock) {
	t.Helper()
	st := emulatortest.Connect(t, emulator.Options{Devices: devices, Strict: true}, nil)
	s, err := New(Options{Client: st.Tenant, Now: st.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return st.Server, s, st.Clock
}

func intuneKey(id emulator.GUID) decision.Key {
	return decision.Key{Kind: decision.KindIntune, Value: id.String()}
}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, devices []decision.Verdict) sourcetest.Fixture {
		t.Helper()
		e, s, _ := connect(t, 1)
		tell := func(devices []decision.Verdict) {
			emulatortest.Replace(e, sourcetest.Names(devices), func(d *emulator.Device, i int, _ bool) {
				v := &devices[i]
				for _, k := range v.Keys {
					if k.Kind == decision.KindIntune {
						d.NAC = &emulator.NAC{
							ID: emulator.MustGUID(k.Value), Registered: true,
							Compliant: v.Compliance == decision.Compliant, Odd: v.Compliance == decision.ComplianceUnknown,
						}
					}
				}
			})
		}
		tell(devices)
		t.Cleanup(func() { e.Check(t) })
		return sourcetest.Fixture{
			Source: s, Kinds: []string{decision.KindIntune}, Change: tell,
			Break:  func() { e.Fail("nac/devices", emulator.Fault{Kind: emulator.Status, Status: 500}) },
			Unsaid: map[decision.Fact]string{decision.FactManaged: "to the service a device that is not registered is one that it does not know"},
		}
	})
}

func TestEmulatedFleet(t *testing.T) {
	e, s, _ := connect(t, 60)
	for _, tt := range []struct {
		name string
		want decision.Compliance // NotManaged: unknown to the service
	}{
		{emulator.CaseHealthy, decision.Compliant},
		{emulator.CaseComanaged, decision.Compliant},
		{emulator.CaseIntuneOnly, decision.Compliant},
		{emulator.CaseGraceFar, decision.Compliant}, // the service does not tell of grace
		{emulator.CaseNoncompliant, decision.NonCompliant},
		{emulator.CaseJailbroken, decision.NonCompliant},
		{emulator.CaseConflict, decision.NonCompliant},
		{emulator.CaseNACOnly, decision.Compliant},
		{emulator.CaseTenantAttach, decision.ComplianceNotManaged},
		{emulator.CaseDefenderAttach, decision.ComplianceNotManaged},
		{emulator.CaseRevoked, decision.ComplianceNotManaged},
	} {
		var key decision.Key
		for _, d := range e.Devices() {
			switch {
			case d.Name != tt.name:
			case d.NAC != nil:
				key = intuneKey(d.NAC.ID)
			default:
				key = intuneKey(d.Managed[0].ID)
			}
		}
		v, err := s.Lookup(t.Context(), key)
		switch {
		case tt.want == decision.ComplianceNotManaged && errors.Is(err, source.ErrUnknownDevice):
		case err != nil:
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		case v.Compliance != tt.want || v.Managed != decision.Yes:
			t.Errorf("%s: managed %v, %v; want %v", tt.name, v.Managed, v.Compliance, tt.want)
		}
	}
	if n := e.Calls()["graph/endpoints"]; n != 1 {
		t.Errorf("%d discoveries, want 1", n)
	}
	e.Check(t)
}

// A changed verdict shows at the next look-up, and a day later the service is
// looked for again with tokens that are still good.
func TestEmulatedChange(t *testing.T) {
	e, s, c := connect(t, 1)
	d := e.Devices()[0]
	key := intuneKey(d.Managed[0].ID)
	for _, want := range []struct {
		state string
		is    decision.Compliance
	}{{"compliant", decision.Compliant}, {"noncompliant", decision.NonCompliant}, {"compliant", decision.Compliant}} {
		e.Update(func(*emulator.Fleet) { d.Managed[0].Compliance = want.state })
		v, err := s.Lookup(t.Context(), key)
		if err != nil || v.Compliance != want.is {
			t.Errorf("%s: %v, %v", want.state, v.Compliance, err)
		}
	}
	e.Update(func(f *emulator.Fleet) { f.RemoveDevice(d) })
	if _, err := s.Lookup(t.Context(), key); !errors.Is(err, source.ErrUnknownDevice) {
		t.Errorf("removed device: %v", err)
	}
	e.Check(t)
	// The client keeps real time: its tokens have expired for the emulator only.
	c.Advance(locationAge)
	if _, err := s.Lookup(t.Context(), key); !errors.Is(err, source.ErrUnknownDevice) {
		t.Errorf("a day later: %v", err)
	}
	if n := e.Calls()["graph/endpoints"]; n < 2 {
		t.Errorf("%d discoveries, want another one", n)
	}
}

func TestEmulatedFaults(t *testing.T) {
	for _, tt := range []struct {
		route string
		fault emulator.Fault
		kind  msgraph.Kind
	}{
		{"nac/devices", emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "7.5"}, msgraph.KindThrottled},
		{"nac/devices", emulator.Fault{Kind: emulator.Throttle429}, msgraph.KindThrottled},
		{"nac/devices", emulator.Fault{Kind: emulator.Status}, msgraph.KindUnavailable},
		{"nac/devices", emulator.Fault{Kind: emulator.Hang}, msgraph.KindUnavailable},
		{"nac/devices", emulator.Fault{Kind: emulator.Reset}, msgraph.KindUnavailable},
		{"nac/devices", emulator.Fault{Kind: emulator.HalfPage}, msgraph.KindUnavailable},
		{"nac/devices", emulator.Fault{Kind: emulator.HTML200}, msgraph.KindAnswer},
		{"nac/devices", emulator.Fault{Kind: emulator.GzipBomb}, msgraph.KindAnswer},
		{"nac/devices", emulator.Fault{Kind: emulator.EndlessBody}, msgraph.KindAnswer},
		{"nac/devices", emulator.Fault{Kind: emulator.Garbage}, anyKind},
		{"nac/devices", emulator.Fault{Kind: emulator.Garbage, Body: "<ise_api/>"}, anyKind},
		{"nac/devices", emulator.Fault{Kind: emulator.WrongAudience}, msgraph.KindUnauthorized},
		{"graph/endpoints", emulator.Fault{Kind: emulator.Status, Status: 500}, msgraph.KindUnavailable},
		{"graph/endpoints", emulator.Fault{Kind: emulator.Garbage}, msgraph.KindAnswer},
		{"graph/endpoints", emulator.Fault{Kind: emulator.ForeignNextLink}, msgraph.KindAnswer},
		{"graph/endpoints", emulator.Fault{Kind: emulator.NullFields}, anyKind},
		{"graph/endpoints", emulator.Fault{Kind: emulator.HTML200}, msgraph.KindAnswer},
		{"login/token", emulator.Fault{Kind: emulator.ExpiredSecret}, msgraph.KindConfig},
	} {
		t.Run(tt.route+" "+string(tt.fault.Kind), func(t *testing.T) {
			e, s, _ := connect(t, 1)
			key := intuneKey(e.Devices()[0].Managed[0].ID)
			e.Fail(tt.route, tt.fault)
			limit := 2 * time.Minute // a busy machine reads a long answer slowly
			switch tt.kind {
			case msgraph.KindThrottled:
				limit = 5 * time.Second // less than the wait, which the client would keep
			case msgraph.KindUnavailable, anyKind:
				limit = lookupTime // no use to wait for the client's further tries
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			v, err := s.Lookup(ctx, key)
			if err == nil || errors.Is(err, source.ErrUnknownDevice) {
				t.Fatalf("got %+v, %v", v.Device, err)
			}
			var me *msgraph.Error
			if tt.kind != anyKind && (!errors.As(err, &me) || me.Kind != tt.kind) {
				t.Errorf("%v, want kind %v", err, tt.kind)
			}
			var wait *source.ThrottledError
			if tt.fault.RetryAfter != "" && (!errors.As(err, &wait) || wait.RetryAfter > 7500*time.Millisecond || wait.RetryAfter < 2*time.Second) {
				t.Errorf("%v, want to wait what is left of 7.5 s", err)
			}
		})
	}
}

// anyKind is any error at all, also one of our own.
const anyKind = msgraph.Kind(255)

func TestMissingPermissions(t *testing.T) {
	for _, tt := range []struct{ role, twin string }{
		{"get_device_compliance", ""},
		{"Application.Read.All", "Directory.Read.All"},
	} {
		e, s, _ := connect(t, 1)
		for _, role := range []string{tt.role, tt.twin} {
			if role != "" {
				e.Grant(role, false)
			}
		}
		_, err := s.Lookup(t.Context(), intuneKey(e.Devices()[0].Managed[0].ID))
		var me *msgraph.Error
		if !errors.As(err, &me) || me.Kind != msgraph.KindPermission || !strings.Contains(err.Error(), tt.role) {
			t.Errorf("without %s: %v, want an error that names it", tt.role, err)
		}
	}
}
