package msgraph

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		value, date string
		want        time.Duration
		named       bool
	}{
		{"", "", 0, false},
		{"7", "", 7 * time.Second, true},
		{"2.128", "", 2128 * time.Millisecond, true},
		{"0", "", 0, true},
		{"-3", "", 0, false},
		{"NaN", "", 0, false},
		{"Inf", "", maxRetryAfter, true},
		{"1e300", "", maxRetryAfter, true},
		{"soon", "", 0, false},
		{"Sat, 21 Nov 2026 10:00:30 GMT", "", 30 * time.Second, true},
		{"Sat, 21 Nov 2026 09:00:00 GMT", "", 0, true},
		{"Sat, 21 Nov 2026 10:00:30 GMT", "Sat, 21 Nov 2026 10:00:20 GMT", 10 * time.Second, true},
	}
	for _, tt := range tests {
		h := http.Header{}
		h.Set("Retry-After", tt.value)
		h.Set("Date", tt.date)
		got, named := retryAfter(h, now)
		if got != tt.want || named != tt.named {
			t.Errorf("retryAfter(%q) = %v, %v; want %v, %v", tt.value, got, named, tt.want, tt.named)
		}
	}
}

func TestBackoffStaysInBounds(t *testing.T) {
	for failures := 1; failures < 40; failures++ {
		for range 50 {
			got := backoff(failures)
			ceiling := min(time.Minute, time.Second<<min(failures, 16))
			if got < time.Second || got > ceiling {
				t.Fatalf("backoff(%d) = %v, want between 1 s and %v", failures, got, ceiling)
			}
		}
	}
}

// A throttled GET waits as long as the service asks, and then succeeds.
func TestThrottledCallWaits(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		least  time.Duration
		most   time.Duration
	}{
		{"whole seconds", []string{"Retry-After", "7"}, 7 * time.Second, 7 * time.Second},
		{"fraction", []string{"Retry-After", "2.128"}, 2128 * time.Millisecond, 2128 * time.Millisecond},
		{"date", []string{"Date", "Sat, 21 Nov 2026 10:00:00 GMT", "Retry-After", "Sat, 21 Nov 2026 10:00:09 GMT"}, 9 * time.Second, 9 * time.Second},
		{"none", nil, time.Second, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{serve: inOrder(with(429, `{"error":{"code":"TooManyRequests","message":"Please retry again later."}}`, tt.header...), with(200, `{"value":[]}`))}
			inBubble(t, f, func(t *testing.T, c *Client) {
				if _, err := c.Do(t.Context(), devices()); err != nil {
					t.Fatal(err)
				}
				calls := f.seen()
				if len(calls) != 2 {
					t.Fatalf("%d calls, want 2", len(calls))
				}
				if got := calls[1].at.Sub(calls[0].at); got < tt.least || got > tt.most+time.Millisecond {
					t.Errorf("waited %v, want %v to %v", got, tt.least, tt.most)
				}
			})
		})
	}
}

// A wait that is too long, or longer than the caller has time, is not slept.
func TestLongWaitIsReturned(t *testing.T) {
	for name, tt := range map[string]struct {
		after   string
		timeout time.Duration
		want    time.Duration
	}{
		"beyond 20 s":       {"21", time.Hour, 21 * time.Second},
		"beyond the caller": {"5", 2 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{serve: inOrder(with(429, `{"error":{"code":"TooManyRequests"}}`, "Retry-After", tt.after))}
			inBubble(t, f, func(t *testing.T, c *Client) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				start := time.Now()
				_, err := c.Do(ctx, devices())
				e := wantKind(t, err, KindThrottled)
				var throttled *source.ThrottledError
				if !errors.As(err, &throttled) || throttled.RetryAfter != tt.want {
					t.Errorf("error %#v, want a ThrottledError of %v", err, tt.want)
				}
				if e.Status != 429 || time.Since(start) != 0 || len(f.seen()) != 1 {
					t.Errorf("status %d after %v and %d calls, want 429 at once after 1 call", e.Status, time.Since(start), len(f.seen()))
				}
				// The next call does not even ask.
				if _, err = c.Do(ctx, devices()); len(f.seen()) != 1 {
					t.Errorf("asked while throttled")
				}
				wantKind(t, err, KindThrottled)
				if got := c.Headroom()[scopeDirectory]; !got.ThrottledUntil.Equal(time.Now().Add(tt.want)) {
					t.Errorf("headroom %+v does not tell that we are throttled", got)
				}
			})
		})
	}
}

func TestThrottledPostIsNotTriedAgain(t *testing.T) {
	f := &fake{serve: inOrder(with(429, `{}`, "Retry-After", "1"))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		_, err := c.Do(t.Context(), Request{Endpoint: DeviceAction, Method: "POST", Path: "/v1.0/deviceManagement/managedDevices/x/syncDevice"})
		wantKind(t, err, KindThrottled)
		if len(f.seen()) != 1 {
			t.Errorf("%d calls, want 1", len(f.seen()))
		}
	})
}

// Answers of other scopes and look-ups go on while one scope is throttled; a
// sweep resumes later than a look-up.
func TestSweepsResumeAfterLookUps(t *testing.T) {
	f := &fake{}
	inBubble(t, f, func(t *testing.T, c *Client) {
		c.budgets[scopeDirectory].throttled(5 * time.Second)
		start := time.Now()
		type result struct {
			priority string
			after    time.Duration
		}
		done := make(chan result, 2)
		for _, priority := range []string{"Low", "High"} {
			go func() {
				r := devices()
				r.Priority = priority
				if _, err := c.Do(context.Background(), r); err != nil {
					t.Error(err)
				}
				done <- result{priority, time.Since(start)}
			}()
		}
		if _, err := c.Do(t.Context(), Request{Endpoint: DefenderMachines, Path: "/api/machines"}); err != nil || time.Since(start) != 0 {
			t.Errorf("another scope: %v after %v", err, time.Since(start))
		}
		if got := <-done; got != (result{"High", 5 * time.Second}) {
			t.Errorf("first was %+v, want the look-up after 5 s", got)
		}
		if got := <-done; got != (result{"Low", 6 * time.Second}) {
			t.Errorf("second was %+v, want the sweep after 6 s", got)
		}
		for _, call := range f.seen()[1:] {
			if call.header.Get("x-ms-throttle-priority") == "" {
				t.Error("priority was not sent")
			}
		}
	})
}
