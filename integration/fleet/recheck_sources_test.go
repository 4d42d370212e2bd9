package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// The promise about a re-check, and how many devices may try: the machine may stand
// still during one.
const (
	recheckWithin = 5 * time.Second
	recheckTries  = 3
)

// TestRecheckOfEverySource: whoever asks again gets a decision by what the service
// says now, within five seconds, for better and for worse, from every source that can
// be asked about one device. The next poll is an hour away.
func TestRecheckOfEverySource(t *testing.T) {
	t.Parallel()
	for _, e := range every {
		t.Run(e.test, func(t *testing.T) {
			t.Parallel()
			s, devices := e.open(t, time.Hour, 2*time.Hour, 2*recheckTries)
			s.quiet()
			for _, f := range e.facts {
				for _, good := range []bool{true, false} {
					tries := 0
					for _, x := range devices {
						if x.fact.name != f.name || x.good == good || x.fact.polled {
							continue
						}
						if tries++; s.recheckOf(e.name, x, good) {
							break
						}
						if tries == recheckTries {
							t.Errorf("%s, good %t: in no decision within %s of a re-check", f.name, good, recheckWithin)
							break
						}
					}
				}
			}
			s.tenant.Check(t)
		})
	}
}

// TestRecheckOfAList: a service that only lists its devices is not listed anew because
// one person asks, and that person reads so.
func TestRecheckOfAList(t *testing.T) {
	t.Parallel()
	e := evidence{source: mdm("{\n\t\t\t" + mdmAll), facts: []fact{{name: "encrypted", require: "encrypted", like: emulator.CaseHealthy, reason: "not_encrypted", set: setEncrypted}}}
	s, devices := e.open(t, time.Hour, 2*time.Hour, 2)
	s.quiet()
	for _, x := range devices {
		s.turn(x, !x.good)
		if result := s.askAgain(x)["mdm"]; result != "later" {
			t.Errorf("good %t: re-check: %q, want later", x.good, result)
		}
		if !s.shows(x, !x.good) {
			t.Errorf("good %t: in a decision before the next listing", x.good)
		}
	}
	s.tenant.Check(t)
}

// askAgain makes a re-check and returns its results by source.
func (s *stage) askAgain(x *subject) map[string]string {
	s.t.Helper()
	a := rig.Do(s.t, http.DefaultClient, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/.gatehouse/recheck", s.port), rig.Bearer(x.token)...)
	var got struct{ Sources []asked }
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.StatusCode != http.StatusOK {
		s.t.Fatalf("%s, good %t: re-check: %d %s", x.fact.name, x.good, a.StatusCode, a.Body)
	}
	results := map[string]string{}
	for _, src := range got.Sources {
		results[src.Source] = src.Result
	}
	return results
}

// recheckOf changes what the tenant says of a device, asks again and reports whether
// that was in a decision in time. It fails the test for a decision that is wrong.
func (s *stage) recheckOf(source string, x *subject, good bool) bool {
	s.t.Helper()
	s.turn(x, good)
	if !s.shows(x, !good) {
		s.t.Fatalf("%s, good %t: changed before anybody asked", x.fact.name, good)
	}
	began := time.Now()
	result := s.askAgain(x)[source]
	answered := time.Since(began)
	if result == "timeout" {
		s.t.Logf("%s, good %t: the look-up took too long", x.fact.name, good)
		return false
	}
	if result != "refreshed" {
		s.t.Fatalf("%s, good %t: re-check: %q", x.fact.name, good, result)
	}
	if !s.shows(x, good) {
		status, reasons := s.ask(x.fact.name, x.token)
		s.t.Fatalf("%s, good %t: after the re-check: %d %v", x.fact.name, good, status, reasons)
	}
	took := time.Since(began)
	s.t.Logf("%s, good %t: answered after %s, in a decision after %s", x.fact.name, good, answered.Round(time.Millisecond), took.Round(time.Millisecond))
	return took < recheckWithin
}

// quiet waits until nobody has called the tenant for a second: the first read of a
// source may be followed by another one.
func (s *stage) quiet() {
	s.t.Helper()
	rig.Eventually(s.t, time.Minute, "the first reads to end", func() bool {
		return len(s.tenant.Pace(time.Now().Add(-time.Second))) == 0
	})
}
