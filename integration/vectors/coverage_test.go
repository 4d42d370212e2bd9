package vectors

import (
	"os"
	"slices"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// elsewhere are the reasons that no vector can produce, and the test that does.
// The first group never reaches the engine: it is about the request or its
// credentials. The second needs a source other than one file of a given age. A
// place must exist.
var elsewhere = map[decision.Reason]string{
	decision.MalformedRequest:          "../replay/requests_test.go",
	decision.AmbiguousCredentials:      "../replay/requests_test.go",
	decision.PathNotAllowed:            "../replay/requests_test.go",
	decision.MethodNotAllowed:          "../replay/requests_test.go",
	decision.OriginNotAllowed:          "../replay/requests_test.go",
	decision.PreflightNotAllowed:       "../replay/requests_test.go",
	decision.EarlyData:                 "../replay/requests_test.go",
	decision.MisdirectedRequest:        "../replay/requests_test.go",
	decision.InvalidToken:              "../replay/requests_test.go",
	decision.CertificateInvalid:        "../replay/requests_test.go",
	decision.KeysUnavailable:           "../replay/requests_test.go",
	decision.RevocationListUnavailable: "../replay/requests_test.go",

	decision.VerdictExpired:  "../replay/requests_test.go", // a file that is too old is failing, not merely expired
	decision.SourceThrottled: "../../decision/freshness_test.go",
	decision.LookupTimeout:   "../../decision/freshness_test.go",
}

// TestEveryReasonHasAVector fails when somebody adds a reason that nothing
// produces, or removes the last vector that produced one.
func TestEveryReasonHasAVector(t *testing.T) {
	produced := map[string]bool{}
	for _, v := range load(t) {
		for _, c := range slices.Concat(v.Reasons, v.Warnings) {
			produced[c] = true
		}
	}
	for r := decision.NoReason + 1; r < decision.NumReasons; r++ {
		place, listed := elsewhere[r]
		switch {
		case listed && produced[r.Code()]:
			t.Errorf("%s has a vector now: take it off the list", r.Code())
		case !listed && !produced[r.Code()]:
			t.Errorf("no vector produces %s", r.Code())
		case listed && place == "" && r >= decision.SignInRequired:
			t.Errorf("%s is a reason of the engine: name the test that produces it", r.Code())
		case place != "":
			if _, err := os.Stat(place); err != nil {
				t.Errorf("%s: %v", r.Code(), err)
			}
		}
	}
}

// TestEveryKindHasYesNoAndUnknown fails when a requirement kind lacks a vector
// in which it, alone, passes, blocks, or is unknown.
func TestEveryKindHasYesNoAndUnknown(t *testing.T) {
	seen := map[decision.Kind]map[string]bool{}
	now := fixedNow()
	for _, v := range load(t) {
		_, p, err := v.Compile(now)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Requirements) != 1 {
			continue
		}
		k := p.Requirements[0].Kind
		if seen[k] == nil {
			seen[k] = map[string]bool{}
		}
		seen[k][v.Want] = true
		for _, c := range v.Reasons {
			seen[k][c] = true
		}
	}
	ours := []decision.Kind{decision.RequireDevice, decision.RequireCompliant, decision.RequireUserRisk, decision.RequireExpression, decision.RequireProof}
	for k := decision.RequireUser; k < decision.NumKinds; k++ {
		refused := seen[k]["block"] || seen[k]["step_up"] || seen[k]["authenticate"]
		if !seen[k]["allow"] || !refused {
			t.Errorf("require %s: vectors with %v, want an allow and a refusal", k, seen[k])
		}
		if _, isFact := k.Fact(); isFact && !seen[k]["fact_unknown"] {
			t.Errorf("require %s has no vector of an unknown fact", k)
		}
		if slices.Contains(ours, k) && !seen[k]["undecided"] {
			t.Errorf("require %s has no undecided vector", k)
		}
	}
}
