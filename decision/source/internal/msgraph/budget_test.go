package msgraph

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// No window of a published limit's length ever holds more calls than the limit,
// and a busy client still uses at least two thirds of it.
func TestBudgetsStayBelowTheLimits(t *testing.T) {
	for id := range numScopes {
		for _, w := range limits[id].windows {
			synctest.Test(t, func(t *testing.T) {
				b := &newBudgets()[id]
				var at []time.Time
				end := time.Now().Add(3 * w.per)
				for time.Now().Before(end) {
					wait := b.delay(time.Now(), 1, false)
					if wait == 0 {
						at = append(at, time.Now())
						continue
					}
					time.Sleep(wait)
				}
				first := 0
				for i := range at {
					for at[i].Sub(at[first]) >= w.per {
						first++
					}
					if n := i - first + 1; n > w.limit {
						t.Fatalf("%s: %d calls within %v, limit is %d", b.name, n, w.per, w.limit)
					}
				}
				if w.limit >= 10 && len(limits[id].windows) == 1 && len(at) < 2*w.limit {
					t.Errorf("%s: only %d calls in three windows of %d", b.name, len(at), w.limit)
				}
			})
		}
	}
}

func TestSweepsLeaveSomeToLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &newBudgets()[scopeDefender]
		sweeps, lookUps := 0, 0
		for b.delay(time.Now(), 1, true) == 0 {
			sweeps++
		}
		for b.delay(time.Now(), 1, false) == 0 {
			lookUps++
			if lookUps > 20 {
				t.Fatal("no bound")
			}
		}
		if sweeps != 8 || lookUps != 12 {
			t.Errorf("bursts of %d by sweeps and %d by look-ups, want 8 and 12", sweeps, lookUps)
		}
		if wait := b.delay(time.Now(), 1, true); wait <= b.delay(time.Now(), 1, false) {
			t.Errorf("a sweep waits %v, no longer than a look-up", wait)
		}
	})
}

// However many people ask again and again, the sweeps of Defender go on, and what is
// asked for in an hour stays below the limit.
func TestLookUpsLeaveSomeToSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &newBudgets()[scopeDefender]
		var at []time.Time
		lookUps, pending := 0, 0
		var since time.Time // pending sweep calls
		for second := range 3 * 3600 {
			if second%120 == 0 {
				pending, since = pending+6, time.Now()
			}
			for b.delay(time.Now(), 1, false) == 0 {
				lookUps++
				at = append(at, time.Now())
			}
			for pending > 0 && b.delay(time.Now(), 1, true) == 0 {
				pending--
				at = append(at, time.Now())
			}
			if waited := time.Since(since); pending > 0 && waited > 100*time.Second {
				t.Fatalf("after %d s a sweep waits since %v", second, waited)
			}
			time.Sleep(time.Second)
		}
		first := 0
		for i := range at {
			for at[i].Sub(at[first]) >= time.Hour {
				first++
			}
			if n := i - first + 1; n > 1500 {
				t.Fatalf("%d calls within an hour", n)
			}
		}
		if lookUps < 3*500 || lookUps > 3*600+60 {
			t.Errorf("%d look-ups in three hours, want about 600 each", lookUps)
		}
	})
}

// The list of all noncompliant devices may be asked for every four hours.
func TestNACListBudget(t *testing.T) {
	f := &fake{serve: inOrder(with(200, `<x/>`))}
	list := Request{Endpoint: NACList, Path: "https://fef.msua01.manage.microsoft.com/devices", Accept: "application/xml"}
	inBubble(t, f, func(t *testing.T, c *Client) {
		if _, err := c.Do(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		_, err := c.Do(t.Context(), list)
		var throttled *source.ThrottledError
		if !errors.As(err, &throttled) || throttled.RetryAfter < 4*time.Hour || throttled.RetryAfter > 5*time.Hour {
			t.Errorf("second list: %v, want a wait of four to five hours", err)
		}
		if _, err = c.Do(t.Context(), Request{Endpoint: NACDevice, Path: list.Path, Accept: list.Accept}); err != nil {
			t.Errorf("one device: %v", err)
		}
		time.Sleep(5 * time.Hour)
		f.serve = inOrder(failing(errors.New("no route to host")))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err = c.Do(ctx, list)
		wantKind(t, err, KindUnavailable)
		f.serve = nil
		if _, err = c.Do(t.Context(), list); err != nil {
			t.Errorf("a list that never reached the service was counted: %v", err)
		}
	})
}

func TestRiskyUsersBudget(t *testing.T) {
	f := &fake{}
	inBubble(t, f, func(t *testing.T, c *Client) {
		start := time.Now()
		for range 5 {
			if _, err := c.Do(t.Context(), Request{Endpoint: RiskyUsers, Path: "/v1.0/identityProtection/riskyUsers"}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("five calls took %v, want about 5 s", took)
		}
		got := c.Headroom()[scopeIdentityProtection]
		if got.Name != "identity_protection" || got.Budget != 1 || got.Per != time.Second || !got.ThrottledUntil.IsZero() {
			t.Errorf("headroom %+v", got)
		}
	})
}

// Throttled without a time: the waits grow, and an answer forgets them.
func TestWaitsGrowWithoutRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &newBudgets()[scopeIdentityProtection]
		for strike := 1; strike <= 10; strike++ {
			got := b.throttled(0)
			if most := min(time.Minute, time.Second<<strike); got < time.Second || got > most {
				t.Errorf("strike %d: %v, want 1 s to %v", strike, got, most)
			}
		}
		b.answered(http.Header{})
		if got := b.throttled(0); got > 2*time.Second {
			t.Errorf("after an answer: %v", got)
		}
	})
}

// The directory says in its answers that the limit is near: sweeps pause.
func TestNearLimitPausesSweeps(t *testing.T) {
	f := &fake{serve: inOrder(with(200, `{}`, "x-ms-throttle-limit-percentage", "1.2"), with(200, `{}`))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		if err := do(t, c); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := do(t, c); err != nil || time.Since(start) != 0 {
			t.Errorf("a look-up waited %v, error %v", time.Since(start), err)
		}
		low := devices()
		low.Priority = "Low"
		if _, err := c.Do(t.Context(), low); err != nil || time.Since(start) != pressed {
			t.Errorf("a sweep waited %v, error %v; want %v", time.Since(start), err, pressed)
		}
	})
}

func TestGivingUpWhileWaiting(t *testing.T) {
	f := &fake{}
	inBubble(t, f, func(t *testing.T, c *Client) {
		c.budgets[scopeDirectory].throttled(10 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := c.Do(ctx, devices())
		if !errors.Is(err, context.Canceled) || len(f.seen()) != 0 {
			t.Errorf("error %v, %d calls", err, len(f.seen()))
		}
	})
}
