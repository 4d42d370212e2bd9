package configmgr

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// emulated starts an emulator with n devices and a source that reads it.
func emulated(t testing.TB, n int) (*emulator.Server, *Source) {
	t.Helper()
	server := emulator.New(emulator.Options{Devices: n, Seed: 7})
	base, roots, stop := server.Start()
	t.Cleanup(stop)
	s, err := New(Options{
		URL: base + "/cm/AdminService", RootCAs: roots, PageSize: 50,
		Auth: Auth{Basic: &Basic{Username: emulator.AdminUser, Password: emulator.AdminPassword}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return server, s
}

func TestEmulatorCases(t *testing.T) {
	_, s := emulated(t, 300)
	got := sweepOf(t, s)
	for name, want := range map[string]struct {
		compliance decision.Compliance
		channel    decision.Channel
		updated    decision.Tri
		malware    decision.Tri
		enabled    decision.Tri
	}{
		emulator.CaseComanaged:          {decision.Compliant, decision.ChannelCoManaged, decision.Yes, decision.No, decision.Yes},
		emulator.CaseComanagedConfigMgr: {decision.Compliant, decision.ChannelCoManaged, decision.Yes, decision.No, decision.Yes},
		emulator.CaseHybridOnly:         {decision.Compliant, decision.ChannelConfigMgrOnly, decision.Yes, decision.No, decision.Yes},
		emulator.CaseTenantAttach:       {decision.Compliant, decision.ChannelConfigMgrOnly, decision.Yes, decision.No, decision.Yes},
		emulator.CaseUpdatesMissing:     {decision.NonCompliant, decision.ChannelCoManaged, decision.No, decision.No, decision.Yes},
		emulator.CaseMalware:            {decision.NonCompliant, decision.ChannelCoManaged, decision.Yes, decision.Yes, decision.Yes},
		emulator.CaseConfigMgrBlocked:   {decision.NonCompliant, decision.ChannelCoManaged, decision.Unknown, decision.Unknown, decision.No},
	} {
		v, ok := got[name]
		if !ok {
			t.Errorf("%s is not listed", name)
			continue
		}
		if v.Compliance != want.compliance || v.Channel != want.channel || v.Updated != want.updated || v.Malware != want.malware || v.Enabled != want.enabled {
			t.Errorf("%s: %s %s updated %s malware %s enabled %s, want %+v", name, v.Compliance, v.Channel, v.Updated, v.Malware, v.Enabled, want)
		}
		for _, key := range v.Keys {
			one, err := s.Lookup(t.Context(), key)
			if err != nil || one.Compliance != v.Compliance || one.Updated != v.Updated {
				t.Errorf("%s by %s: %s, updated %s, %v; the sweep says %s, %s", name, key.Kind, one.Compliance, one.Updated, err, v.Compliance, v.Updated)
			}
		}
	}
	for _, name := range []string{emulator.CaseHealthy, emulator.CaseIntuneOnly, emulator.CaseJamf} {
		if _, ok := got[name]; ok {
			t.Errorf("%s has no client and is listed", name)
		}
	}
}

func TestEmulatorFaults(t *testing.T) {
	server, s := emulated(t, 200)
	s.client.timeout = 20 * time.Second
	want := len(sweepOf(t, s))
	for kind, fine := range map[emulator.FaultKind]bool{
		emulator.Throttle429: false, emulator.Garbage: false, emulator.HTML200: false,
		emulator.EndlessBody: false, emulator.GzipBomb: false, emulator.HalfPage: false,
		emulator.ShortPage: true, emulator.DuplicateRows: true, emulator.NullFields: true, emulator.FutureDates: true,
		emulator.UnknownEnums: true,
	} {
		t.Run(string(kind), func(t *testing.T) {
			route := "cm/" + classResources
			fault := emulator.Fault{Kind: kind, RetryAfter: "3"}
			if kind == emulator.DuplicateRows {
				fault.Count = 1 // the first page: a full one
			}
			defer server.Fail(route, fault)()
			sw := source.NewSweep(0)
			err := s.Sync(t.Context(), sw)
			if (err == nil) != fine {
				t.Fatalf("Sync = %v", err)
			}
			if throttled, ok := errors.AsType[*source.ThrottledError](err); ok != (kind == emulator.Throttle429) || ok && throttled.RetryAfter != 3*time.Second {
				t.Errorf("throttled: %v, %v", ok, err)
			}
			if !fine {
				return
			}
			table, err := sw.Table()
			if err != nil {
				t.Fatal(err)
			}
			if table.Len() != want {
				t.Errorf("%d devices, want %d", table.Len(), want)
			}
			counted := problemsOf(s)
			for _, what := range skips[kind] {
				if counted[what] == 0 {
					t.Errorf("%s is not counted, but %v", what, counted)
				}
				delete(counted, what)
			}
			if len(counted) > 0 {
				t.Errorf("counts %v", counted)
			}
		})
	}
}

// skips are the values that count as unknown by a fault.
var skips = map[emulator.FaultKind][]string{
	// The last row alone is on a page of its own, of which the half is nothing.
	emulator.ShortPage: {classResources + ": missing"},
	// Everything but this is null where a client never reported it.
	emulator.NullFields:   {"IsBlocked: missing"},
	emulator.UnknownEnums: {"EPDeploymentState: unknown value", "EPInfectionStatus: unknown value"},
	emulator.FutureDates: {
		"LastActiveTime: in the future", "LastPolicyRequest: in the future", "LastClientCheckTime: in the future", "LastDDR: in the future",
		"EPAntivirusSignatureLastUpdateDateTime: in the future",
	},
}

func BenchmarkSync(b *testing.B) {
	const fleet = 20_000
	_, s := emulated(b, fleet)
	s.client.page = DefaultPageSize
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Sync(b.Context(), source.NewSweep(0)); err != nil {
			b.Fatal(err)
		}
	}
}
