package sources

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// fault is one way in which a source fails. The window of what is known begins up
// to late after it: a token is good until it ends.
type fault struct {
	late time.Duration
	// refuses: the service does not accept the credential.
	refuses bool
	// noise is what the emulator objects to that is the fault's own doing.
	noise string
	cut   func(tn *tenant, s *subject) (mend func())
}

// everywhere breaks every route that the source reads.
func everywhere(f emulator.Fault) fault {
	return fault{cut: func(tn *tenant, s *subject) func() {
		var clears []func()
		for _, r := range s.routes {
			clears = append(clears, tn.Fail(r, f))
		}
		return func() {
			for _, c := range clears {
				c()
			}
		}
	}}
}

func lineIs(how int32) fault {
	return fault{cut: func(tn *tenant, _ *subject) func() { return tn.line.cut(how) }}
}

// signIn breaks the token endpoint. A token of it lives for 90 minutes at most.
func signIn(kind emulator.FaultKind) fault {
	return fault{late: 90 * time.Minute, noise: "Invalid audience", cut: func(tn *tenant, _ *subject) func() {
		return tn.Fail("login/token", emulator.Fault{Kind: kind})
	}}
}

// file puts something else where the inventory was.
func file(change func(path string) error) fault {
	return fault{cut: func(tn *tenant, s *subject) func() {
		err := change(tn.inventory())
		if err != nil {
			panic(err)
		}
		return func() {
			_ = os.RemoveAll(tn.inventory())
			tn.Update(func(f *emulator.Fleet) { tn.writeInventory(f.Device(s.good), f.Device(s.bad)) })
		}
	}}
}

func written(text string) fault {
	return file(func(path string) error { return os.WriteFile(path, []byte(text), 0o600) })
}

// faultsOf are the ways in which a source can fail.
func faultsOf(s *subject) map[string]fault {
	if s.routes == nil {
		return map[string]fault{
			"gone":      file(os.Remove),
			"empty":     written(""),
			"garbage":   written("{\"devices\":\x00\xff oops"),
			"web page":  written("<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>"),
			"half":      file(func(path string) error { return os.Truncate(path, 100) }),
			"no device": written(`{"version":1,"devices":[]}`),
			"directory": file(func(path string) error {
				err := os.Remove(path)
				if err != nil {
					return err
				}
				return os.Mkdir(path, 0o700)
			}),
		}
	}
	m := map[string]fault{
		"refused":    lineIs(lineRefused),
		"silent":     lineIs(lineSilent),
		"hang":       everywhere(emulator.Fault{Kind: emulator.Hang}),
		"slow":       everywhere(emulator.Fault{Kind: emulator.Slow, Delay: time.Hour}),
		"reset":      everywhere(emulator.Fault{Kind: emulator.Reset}),
		"500":        everywhere(emulator.Fault{Kind: emulator.Status, Status: http.StatusInternalServerError}),
		"503":        everywhere(emulator.Fault{Kind: emulator.Status, Status: http.StatusServiceUnavailable, RetryAfter: "30"}),
		"403":        everywhere(emulator.Fault{Kind: emulator.Status, Status: http.StatusForbidden}),
		"429":        everywhere(emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "120"}),
		"bare 429":   everywhere(emulator.Fault{Kind: emulator.Throttle429}),
		"garbage":    everywhere(emulator.Fault{Kind: emulator.Garbage}),
		"web page":   everywhere(emulator.Fault{Kind: emulator.HTML200}),
		"half page":  everywhere(emulator.Fault{Kind: emulator.HalfPage}),
		"empty text": everywhere(emulator.Fault{Kind: emulator.Status, Status: http.StatusOK, Body: " "}),
	}
	f := everywhere(emulator.Fault{Kind: emulator.Status, Status: http.StatusUnauthorized})
	f.refuses = true
	m["401"] = f
	if s.signsIn {
		m["expired secret"] = signIn(emulator.ExpiredSecret)
		m["wrong audience"] = signIn(emulator.WrongAudience)
		m["no sign-in"] = signIn(emulator.Hang)
	}
	return m
}

// The standard tier.
const (
	maxAge       = 15 * time.Minute
	staleIfError = 4 * time.Hour
)

// TestOutage lets each source fail for hours in each way, under a policy of the
// standard tier: what is known serves for its window and not longer, nobody waits,
// a bad verdict never turns good, and all is well again by itself.
func TestOutage(t *testing.T) {
	for _, s := range subjects {
		for name, f := range faultsOf(s) {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) { outage(t, s, f) })
			})
		}
	}
}

func outage(t *testing.T, s *subject, f fault) {
	tn := newTenant(t, emulator.Options{Devices: 60})
	g := open(t, tn, []*subject{s}, s.require, "freshness standard")
	defer g.start(t)()
	good, bad := s.keyOf(tn, s.good), s.keyOf(tn, s.bad)
	g.await(t, 5*time.Minute, good, decision.Allow)
	g.await(t, time.Minute, bad, decision.Block)
	poll := g.runners[0].Poll()
	for range 100 { // some polls later
		time.Sleep(time.Minute)
		if d, _ := g.ask(t.Context(), good); d.Outcome != decision.Allow || d.Freshness != decision.Fresh {
			t.Fatalf("before the failure: %s, %v, %s", d.Outcome, d.Findings, d.Freshness)
		}
		_, _ = g.ask(t.Context(), bad)
	}

	mend := f.cut(tn, s)
	began := time.Now()
	// Ten per cent of spread, a poll before the failure, and a request each minute.
	const window = maxAge + staleIfError
	sure, over := window*9/10-poll-time.Minute, f.late+window*11/10+time.Minute
	ended := time.Duration(0)
	for i := 0; time.Since(began) < over+time.Hour; i++ {
		time.Sleep(time.Minute)
		age := time.Since(began)
		d, waited := g.ask(t.Context(), bad)
		if d.Outcome != decision.Block || waited > 0 {
			t.Fatalf("%s into the failure a bad device is %s after %s: %v", age, d.Outcome, waited, d.Findings)
		}
		d, waited = g.ask(t.Context(), good)
		switch {
		case waited > 0:
			t.Fatalf("%s into the failure a request about a known device waited %s", age, waited)
		case d.Outcome == decision.Allow && age <= over && ended == 0:
		case d.Outcome == decision.Undecided && age > sure:
			if ended == 0 {
				ended = age
			}
		default:
			t.Fatalf("%s into the failure a good device is %s: %v", age, d.Outcome, d.Findings)
		}
		stranger := decision.Key{Kind: good.Kind, Value: fmt.Sprintf("%08x-1111-4222-8333-944445555666", i)}
		if d, waited = g.ask(t.Context(), stranger); d.Outcome == decision.Allow || waited > lookupBound {
			t.Fatalf("%s into the failure an unknown device is %s after %s", age, d.Outcome, waited)
		}
	}
	if ended == 0 {
		t.Fatal("the window never ended")
	}
	checkCalls(t, tn, began)

	mend()
	mended := time.Now()
	took := g.await(t, recoveryBound(f), good, decision.Allow)
	if d, _ := g.ask(t.Context(), good); d.Freshness != decision.Fresh {
		t.Errorf("after the recovery facts are %s", d.Freshness)
	}
	if d, _ := g.ask(t.Context(), bad); d.Outcome != decision.Block {
		t.Errorf("after the recovery a bad device is %s", d.Outcome)
	}
	// What the source says from now on counts, one poll later.
	tn.Update(func(fl *emulator.Fleet) { s.swap(tn, fl.Device(s.good), fl.Device(s.bad)) })
	g.await(t, poll*11/10+2*time.Minute, good, decision.Block)
	g.await(t, poll*11/10+2*time.Minute, bad, decision.Allow)
	checkCalls(t, tn, mended)
	for _, v := range tn.Violations() {
		if f.noise == "" || !strings.Contains(v, f.noise) && !strings.HasPrefix(v, "and ") {
			t.Errorf("emulator: %s", v)
		}
	}
	t.Logf("undecided since %s, well again after %s, calls %v", ended, took, tn.Calls())
}

// recoveryBound is the longest pause between two attempts: five minutes of back-off,
// or a quarter of an hour where somebody has to mend the credential first, or where it
// is spared because the service refused it.
func recoveryBound(f fault) time.Duration {
	if f.late > 0 || f.refuses {
		return 22 * time.Minute
	}
	return 8 * time.Minute
}

// checkCalls fails if calls come in a rush, or as often as if nothing had happened.
func checkCalls(t *testing.T, tn *tenant, since time.Time) {
	t.Helper()
	total, list := 0, tn.Pace(since)
	for _, s := range list {
		total += s.Calls
	}
	if most := busiest(list); most.Calls > 15 {
		t.Errorf("%d calls in one second, at %s", most.Calls, most.At)
	}
	if perHour := float64(total) / max(1, time.Since(since).Hours()); perHour > 400 {
		t.Errorf("%.0f calls an hour", perHour)
	}
}
