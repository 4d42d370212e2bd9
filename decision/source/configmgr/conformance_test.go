package configmgr

import (
	"net/http"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/sourcetest"
)

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, devices []decision.Verdict) sourcetest.Fixture {
		t.Helper()
		site := newFakeSite(t)
		tell := func(devices []decision.Verdict) {
			site.clear()
			for i := range devices {
				v := &devices[i]
				_, facts := site.add(100+i, v.Keys[0].Value, "")
				site.set(func() { // what is unknown is null
					facts["IsBlocked"] = map[decision.Tri]any{decision.Yes: false, decision.No: true}[v.Enabled]
					facts["DeviceOwner"] = map[decision.Ownership]any{decision.Corporate: ownerCompany, decision.Personal: ownerPersonal}[v.Ownership]
					facts["ClientCheckPass"] = map[decision.Compliance]any{decision.Compliant: checkPassed, decision.NonCompliant: checkFailed}[v.Compliance]
					facts["EPAntivirusEnabled"] = map[decision.Tri]any{decision.Yes: true, decision.No: false}[v.Antivirus]
					facts["EPInfectionStatus"] = map[decision.Tri]any{decision.No: infectionNone, decision.Yes: infectionFailed}[v.Malware] // risk too
					updates := site.classes[classUpdates]
					updates[len(updates)-1]["Status"] = map[decision.Tri]any{decision.Yes: updateInstalled, decision.No: updateMissing}[v.Updated]
				})
			}
		}
		tell(devices)
		return sourcetest.Fixture{
			Source: site.source(t),
			Change: tell,
			Unsaid: map[decision.Fact]string{decision.FactManaged: "every client of the site is managed by it"},
			Kinds:  []string{decision.KindEntra},
			Break: func() {
				site.set(func() {
					site.fault = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
						w.WriteHeader(http.StatusForbidden)
						return true
					}
				})
			},
		}
	})
}
