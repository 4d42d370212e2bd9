package source

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// remote is a source whose devices check in some time after they were told to.
type remote struct {
	lister
	after  time.Duration
	asked  []decision.Key
	refuse error
}

func (f *remote) RequestCheckIn(_ context.Context, v *decision.Verdict) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	own := v.Keys[0]
	f.asked = append(f.asked, own)
	if f.after > 0 {
		time.AfterFunc(f.after, func() {
			f.set(func(f *fake) {
				for i := range f.devices {
					if f.devices[i].Keys[0] == own {
						f.devices[i].Compliance, f.devices[i].LastCheckIn = decision.Compliant, time.Now()
					}
				}
			})
		})
	}
	return nil
}

func (f *remote) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

func ill(n int) decision.Verdict {
	return decision.Verdict{Device: decision.Device{
		Keys:       []decision.Key{{Kind: decision.KindIntune, Value: fmt.Sprintf("%08x-1111-4222-8333-944445555666", n)}},
		Compliance: decision.NonCompliant, LastCheckIn: time.Now().Add(-time.Hour),
	}}
}

func TestCheckInIsFollowed(t *testing.T) {
	for _, test := range []struct {
		name    string
		after   time.Duration // of the device; 0: never
		within  time.Duration
		lookups int // at most
		want    decision.Compliance
	}{
		{"at once", time.Second, 12 * time.Second, 1, decision.Compliant},
		{"in a minute", time.Minute, 4 * time.Minute, 4, decision.Compliant},
		{"never", 0, 10 * time.Minute, len(followUps), decision.NonCompliant},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				src := &remote{after: test.after}
				src.devices = []decision.Verdict{ill(1)}
				r := run(src, RunnerOptions{Poll: 24 * time.Hour, CheckIns: true})
				if err := r.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				keys := src.devices[0].Keys
				if result := r.RequestCheckIn(t.Context(), keys); result != CheckInAsked {
					t.Fatalf("RequestCheckIn = %q", result)
				}
				pass(test.within)
				if got := r.Find(keys).Verdict.Compliance; got != test.want {
					t.Errorf("%s after it was asked the device is %s, want %s", test.within, got, test.want)
				}
				pass(10 * time.Minute)
				if _, n := src.calls(); n == 0 || n > test.lookups {
					t.Errorf("%d look-ups, want 1 to %d", n, test.lookups)
				}
			})
		})
	}
}

func TestCheckInPace(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &remote{}
		for i := range checkInBurst + 5 {
			src.devices = append(src.devices, ill(i))
		}
		counted := map[CheckIn]int{}
		r := run(src, RunnerOptions{Poll: 24 * time.Hour, CheckIns: true, Observer: Observer{
			CheckedIn: func(_ string, result CheckIn) { counted[result]++ },
		}})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		ask := func(i int) CheckIn { return r.RequestCheckIn(t.Context(), src.devices[i].Keys) }
		if got := ask(0); got != CheckInAsked {
			t.Fatalf("first request: %q", got)
		}
		pass(checkInGap - time.Second)
		if got := ask(0); got != CheckInRecently {
			t.Errorf("the same device within the gap: %q", got)
		}
		pass(2 * time.Second)
		if got := ask(0); got != CheckInAsked {
			t.Errorf("the same device after the gap: %q", got)
		}
		pass(time.Hour)
		for i := range src.devices {
			want := CheckInAsked
			if i >= checkInBurst {
				want = CheckInThrottled
			}
			if got := ask(i); got != want {
				t.Errorf("device %d of many at once: %q, want %q", i, got, want)
			}
		}
		if result := r.RequestCheckIn(t.Context(), ill(999).Keys); result != CheckInUnknown {
			t.Errorf("device that nobody knows: %q", result)
		}
		if result := r.RequestCheckIn(t.Context(), append(ill(0).Keys, ill(1).Keys...)); result != CheckInUnknown {
			t.Errorf("ids of two devices: %q", result)
		}
		if n := src.requests(); n != checkInBurst+2 || counted[CheckInAsked] != n || counted[CheckInThrottled] != 5 {
			t.Errorf("%d requests reached the source, counted %v", n, counted)
		}
	})
}

// TestCheckInRefused: what did not reach the device is told as it is, and does not
// keep the next request away.
func TestCheckInRefused(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &remote{}
		src.devices = []decision.Verdict{ill(1)}
		keys := src.devices[0].Keys
		r := run(src, RunnerOptions{Poll: 24 * time.Hour, CheckIns: true})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		for want, err := range map[CheckIn]error{
			CheckInNotPermitted: fmt.Errorf("fake: %w", ErrNotPermitted),
			CheckInNotSupported: fmt.Errorf("fake: %w", ErrNotSupported),
			CheckInUnknown:      fmt.Errorf("fake: %w", ErrUnknownDevice),
			CheckInThrottled:    &ThrottledError{RetryAfter: time.Minute},
			CheckInTimeout:      context.DeadlineExceeded,
			CheckInFailed:       errors.New("broken"),
		} {
			src.refuse = err
			if got := r.RequestCheckIn(t.Context(), keys); got != want {
				t.Errorf("RequestCheckIn = %q, want %q", got, want)
			}
		}
		pass(5 * time.Minute)
		if _, n := src.calls(); n != 0 {
			t.Errorf("%d look-ups after refusals", n)
		}
		src.refuse = nil
		if got := r.RequestCheckIn(t.Context(), keys); got != CheckInAsked {
			t.Errorf("after the refusals: %q", got)
		}
	})
}

// TestCheckInOff: neither a source that cannot do it nor one that shall not.
func TestCheckInOff(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		able, unable := &remote{}, &lister{}
		able.devices, unable.devices = []decision.Verdict{ill(1)}, []decision.Verdict{ill(1)}
		for name, r := range map[string]*Runner{
			"switched off": run(able, RunnerOptions{}),
			"unable":       run(unable, RunnerOptions{CheckIns: true}),
		} {
			if err := r.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := r.RequestCheckIn(t.Context(), ill(1).Keys); got != CheckInOff {
				t.Errorf("%s: %q", name, got)
			}
		}
		if able.requests() != 0 {
			t.Error("a source that shall not ask was asked")
		}
	})
}
