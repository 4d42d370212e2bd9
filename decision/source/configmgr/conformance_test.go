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
		for i, v := range devices {
			_, facts := site.add(100+i, v.Keys[0].Value, "")
			if v.Compliance != decision.Compliant {
				facts["ClientCheckPass"] = 2
			}
		}
		return sourcetest.Fixture{
			Source: site.source(t),
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
