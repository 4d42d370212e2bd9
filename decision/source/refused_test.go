package source

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Refusal
		expect := func(credential string, want time.Duration) {
			t.Helper()
			if got := m.Wait(credential); got != want {
				t.Fatalf("wait of %q is %s, want %s", credential, got, want)
			}
		}
		expect("a", 0)
		m.Note("a")
		want := FirstRefusalPause
		for range 8 {
			expect("a", want)
			expect("b", 0)
			m.Note("a") // was under way
			expect("a", want)
			time.Sleep(want)
			expect("a", 0)
			m.Note("a")
			want = min(2*want, LongestRefusalPause)
		}
		m.Note("b")
		expect("b", FirstRefusalPause)
		expect("a", 0)
		time.Sleep(FirstRefusalPause + LongestRefusalPause + 1) // it was good meanwhile
		m.Note("b")
		expect("b", FirstRefusalPause)
		m.Note("")
		expect("", 0) // who sends none is not refused for it
	})
}

// TestDenials: an operator must see that a service refuses us, and whether for the
// credential or for the permission.
func TestDenials(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want Denial
	}{
		"credential": {fmt.Errorf("fake: %w", ErrNotAccepted), DenialCredential},
		"permission": {fmt.Errorf("fake: %w", ErrNotPermitted), DenialPermission},
		"down":       {errDown, denialNone},
		"fine":       {nil, denialNone},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				src := &lister{fake{devices: fleet(3, nil), err: tt.err}}
				var got []Denial
				r := run(src, RunnerOptions{Observer: Observer{Denied: func(_ string, why Denial) { got = append(got, why) }}})
				_ = r.SyncNow(t.Context())
				_ = r.Refresh(t.Context(), entra(1))
				want := []Denial{tt.want, tt.want}
				if tt.want == denialNone {
					want = nil
				}
				if !slices.Equal(got, want) {
					t.Errorf("denials %v, want %v", got, want)
				}
			})
		})
	}
}
