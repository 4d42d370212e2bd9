package source

import (
	"context"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Conflicts is on how many devices sources disagree, fact by fact.
type Conflicts struct {
	// At is when the count began, and Took how long it lasted, rests included; in
	// JSON in nanoseconds.
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took"`
	// Devices is how many devices at least two sources list or remember, and
	// Disagreeing on how many of them they disagree about anything.
	Devices     int `json:"devices"`
	Disagreeing int `json:"disagreeing"`
	// ByFact has every fact about devices that at least two sources supply, also
	// with 0.
	ByFact map[string]int `json:"by_fact"`
}

// The pace of a count: a twentieth of one processor, so that a million devices
// cost requests nothing, and some minutes of patience.
const (
	countWork  = 5 * time.Millisecond
	countRest  = 95 * time.Millisecond
	countBatch = 64 // devices between two looks at the clock
)

// aboutUsers are the facts that no count of devices sees.
var aboutUsers = decision.Facts(decision.FactUserEnabled, decision.FactUserRisk)

// CountConflicts merges every device that several sources list, one after another
// with rests in between, as a request would ([Directory.Posture]), and counts the
// facts on which they disagree. It asks no source for anything. Devices whose ids are ambiguous are left out. The
// error is that of ctx.
func (d *Directory) CountConflicts(ctx context.Context) (*Conflicts, error) {
	c := &Conflicts{At: time.Now(), ByFact: map[string]int{}}
	for f := range decision.NumFacts {
		suppliers := 0
		for _, r := range d.runners {
			if r.state.Supplies().Has(f) {
				suppliers++
			}
		}
		if suppliers > 1 && !aboutUsers.Has(f) {
			c.ByFact[f.String()] = 0
		}
	}
	if len(d.runners) < 2 {
		return c, ctx.Err()
	}
	pause := pacer{began: c.At}
	for i, r := range d.runners {
		t := r.Table()
		if t == nil {
			continue
		}
		for row := range t.offs {
			err := pause.next(ctx)
			if err != nil {
				return nil, err
			}
			if t.offs[row] != dead {
				c.add(d, i, t.ownKey(row))
			}
		}
	}
	c.Took = time.Since(c.At)
	return c, nil
}

// add counts one device of source i, unless an earlier source has it: then it was
// counted there.
func (c *Conflicts) add(d *Directory, i int, key decision.Key) {
	s := d.resolve([]decision.Key{key}, nil, looksOn)
	found := 0
	for j := range s.matches {
		if s.matches[j].Verdict == nil {
			continue
		}
		if j < i && d.runners[j].Table() != nil {
			return
		}
		found++
	}
	if found < 2 || s.ambiguous {
		return
	}
	c.Devices++
	disputed := decision.Merge(s.reports(d, &decision.Identity{}), key).Disputed()
	if disputed == 0 {
		return
	}
	c.Disagreeing++
	for f := range decision.NumFacts {
		if disputed.Has(f) {
			c.ByFact[f.String()]++
		}
	}
}

// pacer makes long work rest.
type pacer struct {
	n     int
	began time.Time // of the present stretch of work
}

// next rests if it is time to, and returns the error of ctx when that ends.
func (p *pacer) next(ctx context.Context) error {
	p.n++
	if p.n%countBatch != 0 || time.Since(p.began) < countWork {
		return nil
	}
	rest := time.NewTimer(countRest)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.began = time.Now()
	return nil
}
