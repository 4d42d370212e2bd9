package intune

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// TestAskAgain: nothing is known of the connectors, and the list fails for a while.
func TestAskAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		fault       emulator.Fault
		after       time.Duration // so long after the repair at most
		least, most int           // calls in ten minutes of the fault
	}{
		"503":     {fault: emulator.Fault{Status: http.StatusServiceUnavailable}, after: 90 * time.Second, least: 8, most: 60},
		"garbage": {fault: emulator.Fault{Kind: emulator.Garbage}, after: 90 * time.Second, least: 8, most: 60},
	} {
		t.Run(name, func(t *testing.T) {
			seal(t, func(w *sealed) {
				repair := w.fail(connectorsRoute, tt.fault)
				w.begin(Options{})
				w.pass(time.Minute) // with the waits inside of the first question
				w.floor("never heard", true)
				w.pass(9 * time.Minute)
				w.floor("still not heard", true)
				if n := w.calls(connectorsRoute); n < tt.least || n > tt.most {
					t.Errorf("asked %d times in ten minutes, want %d to %d", n, tt.least, tt.most)
				}
				repair()
				w.pass(tt.after)
				w.floor("heard", false)
				n := w.calls(connectorsRoute)
				w.pass(10 * time.Minute)
				if again := w.calls(connectorsRoute); again != n {
					t.Errorf("asked %d times after the answer", again-n)
				}
			})
		})
	}
}

// TestRetryAfter: a wait that the service asks for is kept, by the listing too.
func TestRetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  emulator.Fault
		wait   time.Duration
		within time.Duration // of its end
	}{
		"429":             {emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "1200", Count: 1}, 20 * time.Minute, 3 * time.Minute},
		"503":             {emulator.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "1200", Count: 1}, 20 * time.Minute, 3 * time.Minute},
		"429 without one": {emulator.Fault{Kind: emulator.Throttle429, Count: 5}, 0, 20 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			seal(t, func(w *sealed) {
				w.fail(connectorsRoute, tt.fault)
				w.begin(Options{})
				w.pass(tt.wait)
				if n := w.calls(connectorsRoute); n != 1 {
					t.Errorf("asked %d times in the %s to wait", n, tt.wait)
				}
				w.pass(tt.within)
				w.floor("after the wait", false)
			})
		})
	}
}

// TestLastingRefusal: what lasts until somebody acts is asked for at the polls alone.
func TestLastingRefusal(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			seal(t, func(w *sealed) {
				w.fail(connectorsRoute, emulator.Fault{Status: status})
				w.start(Options{})
				w.pass(30 * time.Minute)
				w.floor("refused", true)
				if n := w.calls(connectorsRoute); n != 1 {
					t.Errorf("asked %d times in half an hour", n)
				}
			})
		})
	}
}

// TestHeardForADay: while the list of connectors is refused, what was read of them counts
// for a day and no longer, whenever the source asks for it again.
func TestHeardForADay(t *testing.T) {
	seal(t, func(w *sealed) {
		w.poll = 7 * time.Minute // at most; the source asks at every third one
		w.start(Options{})
		w.fail(connectorsRoute, emulator.Fault{Status: http.StatusForbidden})
		w.pass(connectorsTrust - 2*w.poll)
		w.floor("a day is not over", false)
		w.pass(3*w.poll + time.Minute)
		w.floor("a poll after the day", true)
	})
}

// TestHeardAtEverySync: that a day is over does not wait for the next question.
func TestHeardAtEverySync(t *testing.T) {
	seal(t, func(w *sealed) {
		w.start(Options{})
		for _, tt := range []struct {
			age  time.Duration // of what was read
			want bool
		}{
			{connectorsTrust - time.Second, true},
			{connectorsTrust, false},
			{time.Hour, true},
			{-time.Second, false}, // the clock was set back
		} {
			now := time.Now()
			w.mu.Lock()
			w.tenant.connectorsAt, w.tenant.heardAt, w.pagedDue = now.Add(-time.Minute), now.Add(-tt.age), false
			before := w.tenant.heard
			w.mu.Unlock()
			d, n := w.decoder(), w.calls(connectorsRoute)
			w.readConnectors(t.Context(), &d)
			w.mu.Lock()
			heard, due := w.tenant.heard, w.pagedDue
			w.mu.Unlock()
			if heard != tt.want || due != (before != tt.want) || w.calls(connectorsRoute) != n {
				t.Errorf("read %s ago: heard %t, every device is due %t, %d questions, want %t, %t and none",
					tt.age, heard, due, w.calls(connectorsRoute)-n, tt.want, before != tt.want)
			}
		}
	})
}

// TestNothingToAsk: while the levels count nobody asks beside the polls, also where
// the list fails.
func TestNothingToAsk(t *testing.T) {
	seal(t, func(w *sealed) {
		w.start(Options{})
		w.fail(connectorsRoute, emulator.Fault{})
		w.pass(3*time.Hour + 30*time.Minute)
		w.floor("heard before", false)
		if n := w.calls(connectorsRoute); n > 1+4*3 { // a poll tries three times
			t.Errorf("asked %d times in three hours", n)
		}
	})
}

// TestHeardWhileListing: connectors are heard while the first listing is under way,
// which took some devices for unheard already.
func TestHeardWhileListing(t *testing.T) {
	seal(t, func(w *sealed) {
		w.ms = emulator.New(emulator.Options{Devices: 1500}) // two pages
		w.fail(connectorsRoute, emulator.Fault{Count: 3})    // the tries of one question
		w.fail(listRoute, emulator.Fault{Kind: emulator.Slow, Delay: time.Millisecond, Count: 1})
		w.fail(listRoute, emulator.Fault{Kind: emulator.Slow, Delay: time.Minute, Count: 1})
		w.begin(Options{})
		w.pass(5 * time.Minute)
		w.floor("heard meanwhile", false)
		if n := w.calls(listRoute); n != 4 {
			t.Errorf("%d pages were read, want 4", n)
		}
	})
}

// TestLateAnswer: the answer to an earlier question does not replace one to a later.
func TestLateAnswer(t *testing.T) {
	seal(t, func(w *sealed) {
		w.start(Options{})
		w.fail(connectorsRoute, emulator.Fault{Kind: emulator.Slow, Delay: 30 * time.Second, Count: 1})
		first, second := w.decoder(), decoder{}
		ended := make(chan bool)
		go func() { ended <- w.askConnectors(w.t.Context(), &first) }()
		w.pass(10 * time.Second)
		second = w.decoder()
		if !w.askConnectors(w.t.Context(), &second) || !<-ended {
			t.Error("not heard")
		}
		if at := w.tenant.heardAt; !at.Equal(second.now) {
			t.Errorf("heard at %s, want %s, not %s", at, second.now, first.now)
		}
	})
}

// TestHearEnds: a question that nobody answers ends, so that the next one can be asked.
func TestHearEnds(t *testing.T) {
	seal(t, func(w *sealed) {
		repair := w.fail(connectorsRoute, emulator.Fault{Kind: emulator.Garbage})
		w.start(Options{})
		repair()
		w.fail(connectorsRoute, emulator.Fault{Kind: emulator.Slow, Delay: time.Hour})
		before := time.Now()
		if w.hearNow(w.t.Context()) {
			t.Error("heard")
		}
		if d := time.Since(before); d != againTime {
			t.Errorf("ended after %s, want %s", d, againTime)
		}
	})
}

func TestPassing(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("connector cannot be read"), true},
		{&msgraph.Error{Kind: msgraph.KindUnavailable}, true},
		{&msgraph.Error{Kind: msgraph.KindThrottled}, true},
		{&msgraph.Error{Kind: msgraph.KindAnswer}, true},
		{&msgraph.Error{Kind: msgraph.KindPermission}, false},
		{&msgraph.Error{Kind: msgraph.KindConfig}, false},
	} {
		if got := passing(tt.err); got != tt.want {
			t.Errorf("%v: %t", tt.err, got)
		}
	}
}

func TestAgain(t *testing.T) {
	for _, tt := range []struct {
		failures    int
		wait        time.Duration
		least, most time.Duration
	}{
		{1, 0, 5 * time.Second, 10 * time.Second},
		{2, 0, 10 * time.Second, 20 * time.Second},
		{4, 0, 30 * time.Second, time.Minute},
		{1 << 40, 0, 30 * time.Second, time.Minute},
		{1, 30 * time.Second, 30 * time.Second, 36 * time.Second},
		{9, 24 * time.Hour, time.Hour, time.Hour + time.Minute},
	} {
		seen := map[time.Duration]bool{}
		for range 50 {
			got := again(tt.failures, &msgraph.Error{RetryAfter: tt.wait})
			if seen[got] = true; got < tt.least || got > tt.most {
				t.Errorf("after %d failures and a wait of %s: %s, want %s to %s", tt.failures, tt.wait, got, tt.least, tt.most)
			}
		}
		if len(seen) < 10 {
			t.Errorf("after %d failures: %d different pauses of 50", tt.failures, len(seen))
		}
	}
}
