package source

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestAskUnknown: a device that is not in the last listing is asked for once, and
// the listing counts if that fails.
func TestAskUnknown(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(30, nil)}}
		r := run(src, RunnerOptions{AskUnknown: true, NegativeTTL: time.Minute})
		d := NewDirectory([]*Runner{r}, DirectoryOptions{})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		ask := func(i int) *decision.Posture {
			return d.Resolve(t.Context(), &decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{entra(i)}, Proof: decision.ProofToken}})
		}
		lookups := func(want int) {
			t.Helper()
			if _, n := src.calls(); n != want {
				t.Errorf("%d look-ups, want %d", n, want)
			}
		}
		if p := ask(1); !p.Known() {
			t.Error("a listed device is unknown")
		}
		lookups(0)
		for range 3 {
			if p := ask(77); p.Known() || p.Evidence[0].Cause != decision.CauseNone {
				t.Errorf("a device that nobody has: %+v", p.Evidence[0])
			}
		}
		lookups(1)

		// Enrolled after the listing.
		src.set(func(f *fake) { f.devices = append(f.devices, healthy(88)) })
		if p := ask(88); !p.Known() {
			t.Error("a device enrolled after the listing is unknown")
		}
		lookups(2)
		if p := ask(88); !p.Known() {
			t.Error("what was found is forgotten")
		}
		lookups(2)

		// The source cannot be asked: the listing still is an answer.
		src.set(func(f *fake) { f.err = errors.New("down") })
		if p := ask(99); p.Known() || p.Evidence[0].Cause != decision.CauseNone {
			t.Errorf("a failed question about an unlisted device: %+v", p.Evidence[0])
		}
		lookups(3)
		src.set(func(f *fake) { f.err = &ThrottledError{RetryAfter: time.Minute} })
		for range 5 {
			if p := ask(100); p.Evidence[0].Cause != decision.CauseNone {
				t.Errorf("a throttled question: %+v", p.Evidence[0])
			}
		}
		lookups(4)
	})
}
