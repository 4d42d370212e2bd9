package source

import (
	"context"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

// Examiner is a Source that can say whether it works, and if not, why. It is asked
// by people before a roll-out and during an outage, never on the way of a request.
type Examiner interface {
	Source
	// Examine makes a small, bounded number of calls and judges their answers: it
	// lists no fleet. It changes nothing, at the service or in what Sync and Lookup
	// know, and returns soon after ctx ends. Its texts hold no secret and no
	// token.
	Examine(ctx context.Context) Examination
}

// Examination is what a source found out about itself.
type Examination struct {
	// Findings has at least one entry.
	Findings []checkup.Finding
	// Sample are the ids of one device that the source has, by which it can be
	// looked up elsewhere; empty if it named none.
	Sample []decision.Key
}

// Add appends findings.
func (x *Examination) Add(f ...checkup.Finding) { x.Findings = append(x.Findings, f...) }
