package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// revision is a short hash of everything that decides what a policy says:
// its requirements with the inherited ones, its rules, and the step-ups that it
// or an attestation refers to. Places do not count, so that a moved line keeps
// the revision.
func revision(p *decision.Policy, attesting []*decision.StepUp) string {
	h := sha256.New()
	fmt.Fprintf(h, "policy %q\n", p.Name)
	steps := map[string]*decision.StepUp{}
	use := func(su *decision.StepUp) {
		if su != nil {
			steps[su.Name] = su
		}
	}
	for i := range p.Requirements {
		r := &p.Requirements[i]
		fmt.Fprintf(h, "%q %q\n", r.Policy, r.Text)
		use(r.StepUp)
		use(r.ElseStepUp)
	}
	fmt.Fprintf(h, "ages %d %d\n", p.Ages.MaxAge, p.Ages.StaleIfError)
	fmt.Fprintf(h, "on_unknown %q\n", unknownText(p.OnUnknown))
	use(p.OnUnknown.StepUp)
	if p.OnOutage != nil {
		fmt.Fprintf(h, "on_outage %q\n", p.OnOutage.Name)
		use(p.OnOutage)
	}
	fmt.Fprintf(h, "hard_stops_off %d\n", p.HardStopsOff)
	for _, x := range p.Exemptions {
		fmt.Fprintf(h, "exempt %q %q %q %q %s %q\n", x.Group, x.User, x.Device.Kind, x.Device.Value, x.Until.Format(time.RFC3339), x.Because)
	}
	if !p.ReportOnlyUntil.IsZero() {
		fmt.Fprintf(h, "report_only %s\n", p.ReportOnlyUntil.Format(time.RFC3339))
		if p.Parent != nil {
			fmt.Fprintf(h, "parent %s\n", p.Parent.Revision)
		}
	}
	for _, su := range attesting {
		use(su)
	}
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		writeStepUp(h, steps[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func writeStepUp(w io.Writer, su *decision.StepUp) {
	fmt.Fprintf(w, "step_up %q %d\n", su.Name, su.MaxAge)
	for _, issuer := range slices.Sorted(maps.Keys(su.For)) {
		m := su.For[issuer]
		fmt.Fprintf(w, "for %q %q %q %q %v\n", issuer, m.AuthContext, m.ACRValues, m.AMR, m.Attests)
	}
}
