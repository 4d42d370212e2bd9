package decision_test

import (
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// A policy, what one source says about the device, and who asks: the engine
// answers with an outcome and every reason.
func Example() {
	now := time.Now()
	laptop := decision.Key{Kind: decision.KindSerial, Value: "PF3K9ABC"}
	state := &decision.SourceState{Name: "inventory", Authoritative: true}
	state.SetSupplies(decision.Facts(decision.FactManaged, decision.FactEncrypted))
	state.Confirm(now)

	verdict := decision.Verdict{Device: decision.Device{Keys: []decision.Key{laptop}, Managed: decision.Yes, Encrypted: decision.No}}
	request := decision.Request{
		Now: now,
		Identity: &decision.Identity{
			User:   decision.User{Issuer: "corp", ID: "https://idp.corp.example|alice"},
			Device: decision.DeviceRef{Keys: []decision.Key{laptop}, Proof: decision.ProofCertificate},
		},
		Posture: decision.Merge([]decision.Report{{State: state, Verdict: &verdict}}, laptop),
	}
	policy := decision.Policy{
		Name:         "standard",
		Requirements: []decision.Requirement{{Kind: decision.RequireUser}, {Kind: decision.RequireManaged}, {Kind: decision.RequireEncrypted}},
		Ages:         decision.Ages{MaxAge: time.Hour},
	}

	var d decision.Decision
	new(decision.Engine).Decide(&policy, &request, &d)
	fmt.Println(d.Outcome)
	for _, f := range d.Findings {
		fmt.Printf("%s, says %s: %s\n", f.Reason, f.Source, f.Text("en", decision.Windows).Message)
	}
	// Output:
	// block
	// not_encrypted, says inventory: The storage of this device is not encrypted.
}
