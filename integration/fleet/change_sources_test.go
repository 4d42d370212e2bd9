package fleet

import (
	"net/http"
	"testing"
	"time"
)

// allowance is what reading a source, and asking for a decision, may take on a machine
// that is busy. It is shorter than any poll by default, so that one of those fails.
const allowance = 40 * time.Second

// TestVerdictChangeOfEverySource: what a service says of a device reaches decisions
// within the poll interval of its source, for better and for worse. A source that lists
// nothing is asked again about a device in use before its answer is older than poll.
func TestVerdictChangeOfEverySource(t *testing.T) {
	t.Parallel()
	for _, e := range every {
		t.Run(e.test, func(t *testing.T) {
			t.Parallel()
			s, devices := e.open(t, e.least, 2*time.Hour, 2)
			for range 2 { // every device both ways
				waiting := map[*subject]bool{}
				for _, x := range devices {
					s.turn(x, !x.good)
					waiting[x] = true
				}
				changed := time.Now()
				for len(waiting) > 0 {
					read := !e.asked && s.lastSync(e.name).After(changed)
					for x := range waiting {
						if s.shows(x, x.good) {
							delete(waiting, x)
							t.Logf("%s, good %t: in a decision after %s, poll %s", x.fact.name, x.good, time.Since(changed).Round(time.Millisecond), e.least)
							continue
						}
						if read {
							t.Fatalf("%s, good %t: not in a decision although the source was read since", x.fact.name, x.good)
						}
						if took := time.Since(changed); took > e.least+allowance {
							t.Fatalf("%s, good %t: not in a decision after %s, poll %s", x.fact.name, x.good, took, e.least)
						}
					}
					<-time.After(20 * time.Millisecond)
				}
			}
			s.tenant.Check(t)
		})
	}
}

// lastSync is when the last complete read of a source began. It is told once what was
// read is in decisions.
func (s *stage) lastSync(name string) time.Time {
	s.t.Helper()
	var status struct {
		Sources []struct {
			Name     string    `json:"name"`
			LastSync time.Time `json:"last_sync"`
		} `json:"sources"`
	}
	s.gateway.Call(http.MethodGet, "/compliance/status", nil, &status)
	for _, src := range status.Sources {
		if src.Name == name {
			return src.LastSync
		}
	}
	s.t.Fatalf("no source is called %s", name)
	return time.Time{}
}
