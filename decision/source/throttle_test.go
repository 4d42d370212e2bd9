package source

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestThrottledLookupDoesNotHideTheSweep: while the source answers look-ups with
// Retry-After, a sweep that is due is put off and not skipped in silence. The
// source counts as failing meanwhile, so that what is known serves for
// stale_if_error, and is read as soon as it may be.
func TestThrottledLookupDoesNotHideTheSweep(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		f := &lister{fake{devices: fleet(30, nil)}}
		r := run(f, RunnerOptions{Poll: 5 * time.Minute, AskUnknown: true})
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Start(t.Context())
		pass(10 * time.Minute)
		f.set(func(f *fake) { f.err = &ThrottledError{RetryAfter: 2 * time.Minute} })
		for i := range 30 { // one stranger a minute
			_ = r.Refresh(t.Context(), entra(1000+i))
			pass(time.Minute)
		}
		if got := r.State().Failing(); got != decision.CauseThrottled {
			t.Errorf("half an hour of Retry-After: failing is %v, want throttled", got)
		}
		if st := r.Status(); st.State != HealthFailing || st.LastError == "" {
			t.Errorf("status is %s, last error %q", st.State, st.LastError)
		}
		f.set(func(f *fake) { f.err = nil })
		pass(2*time.Minute + 30*time.Second) // the last Retry-After, and its spread
		if got := r.State().Failing(); got != decision.CauseNone {
			t.Errorf("after the last Retry-After: failing is %v", got)
		}
		if age := time.Duration(decision.Mono(time.Now()) - r.State().Confirmed()); age > 5*time.Minute {
			t.Errorf("the source was read %s ago", age)
		}
	})
}

// TestRetryAfterIsSpread: gateways that the service told one moment to come back at
// do not all come back at that moment.
func TestRetryAfterIsSpread(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		const n = 50
		begin := time.Now()
		var list [n]*lister
		for i := range list {
			list[i] = &lister{fake{err: &ThrottledError{RetryAfter: 2 * time.Minute}}}
			run(list[i], RunnerOptions{Remote: true}).Start(t.Context())
		}
		pass(2*time.Minute - time.Millisecond)
		most, before, total := 0, 0, 0
		for time.Since(begin) < 5*time.Minute && total < 2*n {
			total = 0
			for i := range list {
				syncs, _ := list[i].calls()
				total += min(syncs, 2)
			}
			if before == 0 && total != n {
				t.Fatalf("%d calls before the time that the service named, want the first %d", total, n)
			}
			if before > 0 {
				most = max(most, total-before)
			}
			before = total
			pass(time.Second)
		}
		if total != 2*n || most > n/4 {
			t.Errorf("%d of %d came back, %d of them in one second", total-n, n, most)
		}
	})
}
