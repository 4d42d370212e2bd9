package fleet

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestStateThatNobodyCanRead: a word of Intune about the life of a device that no
// release knows yet could be another way to say that it is wiped. It is unknown for
// every policy, at first sight and later, and never good.
func TestStateThatNobodyCanRead(t *testing.T) {
	t.Parallel()
	s := open(t, options{
		Sources: `
		source intune {
			poll 1s
			full_sweep 1s # nobody can filter for a word that is not known yet
		}`,
		Policies: `
		policy app {
			require compliant
		}
		policy warned {
			require compliant
			on_unknown warn
		}
		policy unstopped {
			require compliant
			hard_stop retired off
		}`,
		Before: func(s *stage) {
			d := s.device(emulator.CaseIntuneOnly)
			s.tenant.Update(func(*emulator.Fleet) { d.Managed[0].State = "unknownFutureValue" })
		},
	})
	d := s.device(emulator.CaseHealthy)
	first, later := s.token(s.device(emulator.CaseIntuneOnly)), s.token(d)
	is := func(token, policy string, status int, reasons ...string) bool {
		t.Helper()
		n, got := s.ask(policy, token)
		if n == status && slices.Equal(got, reasons) {
			return true
		}
		return false
	}
	unreadable := func(token string) bool {
		return is(token, "app", http.StatusForbidden, "fact_unknown") && is(token, "warned", http.StatusOK) && is(token, "unstopped", http.StatusOK)
	}
	if !unreadable(first) || !is(later, "app", http.StatusOK) {
		t.Fatal("at first sight the device with the unreadable state is not unknown, or the other one is")
	}
	for _, word := range []string{"lostAndFrozen", "managed", "unknownFutureValue"} {
		s.tenant.Update(func(*emulator.Fleet) { d.Managed[0].State = word })
		rig.Eventually(t, time.Minute, "the state "+word, func() bool {
			if word == "managed" {
				return is(later, "app", http.StatusOK)
			}
			return unreadable(later)
		})
	}
	s.tenant.Check(t)
}
