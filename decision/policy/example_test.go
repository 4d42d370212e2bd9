package policy_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// Policies are compiled once, against what the configuration can supply: asking
// for a fact that no source reports is an error, and never a request refused
// later.
func Example() {
	text := []string{"require user", "require compliant", "require checked_in within 14d"}
	config := policy.PolicyConfig{Name: "standard"}
	for i, line := range text {
		config.Lines = append(config.Lines, policy.Line{Words: strings.Fields(line), Place: fmt.Sprintf("standard:%d", i+1)})
	}
	env := policy.Environment{
		Facts:   decision.Facts(decision.FactCompliance),
		Sources: []string{"inventory"},
		Issuers: []policy.Issuer{{Name: "corp"}},
		Proofs:  []decision.Proof{decision.ProofToken},
		Now:     time.Now(),
	}
	_, err := policy.Compile([]policy.PolicyConfig{config}, nil, env)
	fmt.Println(err)

	env.Facts |= decision.Facts(decision.FactCheckIn)
	set, err := policy.Compile([]policy.PolicyConfig{config}, nil, env)
	if err != nil {
		fmt.Println(err)
		return
	}
	standard, _ := set.Policy("standard")
	fmt.Println(set.Names(), len(standard.Requirements)) // for set.Engine to decide
	// Output:
	// standard:3: require checked_in within 14d: no source supplies checked_in (configured sources: inventory)
	// [standard] 3
}
