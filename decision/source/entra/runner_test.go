package entra

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// TestThroughRunner follows one device and its user from the service to a posture.
func TestThroughRunner(t *testing.T) {
	e, s, c := connect(t, emulator.Options{Devices: 60, Strict: true}, Options{RiskyUsers: true})
	r := source.NewRunner(s, source.RunnerOptions{Name: "entra", Authoritative: true, Authority: decision.AuthorityDirectory})
	defer r.Stop()
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := source.NewDirectory([]*source.Runner{r}, source.DirectoryOptions{})
	var id decision.Identity
	e.Update(func(f *emulator.Fleet) {
		dev := f.Device(emulator.CaseUserHigh)
		id.Device = decision.DeviceRef{Keys: []decision.Key{{Kind: decision.KindEntra, Value: dev.EntraID.String()}}, Proof: decision.ProofCertificate}
		id.User.ID, id.User.ObjectID = "t/"+dev.User.OID.String(), dev.User.OID.String()
	})
	p := d.Posture(&id)
	if p.Compliance != decision.Compliant || p.Enabled != decision.Yes || p.User.Risk != decision.LevelHigh || p.User.Enabled != decision.Yes || p.Ambiguous {
		t.Errorf("posture %+v, user %+v", p.Device, p.User)
	}
	if p.Source(decision.FactUserRisk) != "entra" || !p.LastCheckIn.IsZero() {
		t.Errorf("user risk from %q, check-in %v", p.Source(decision.FactUserRisk), p.LastCheckIn)
	}
	if err := r.SyncNow(t.Context()); err != nil { // unchanged
		t.Errorf("SyncNow without a change = %v", err)
	}
	e.Update(func(f *emulator.Fleet) {
		dev := f.Device(emulator.CaseUserHigh)
		dev.Directory.Enabled, dev.User.Enabled = false, false
	})
	c.Advance(minute / 2) // user risk is not due
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p = d.Posture(&id); p.Enabled != decision.No || p.User.Enabled != decision.No || p.User.Risk != decision.LevelHigh {
		t.Errorf("after both were disabled: %+v, user %+v", p.Device, p.User)
	}
	if st := r.Status(); st.Held != nil || st.Bad != 0 || st.LastError != "" {
		t.Errorf("status %+v", st)
	}
	e.Check(t)
}
