package emulator

import (
	"net/http"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := New(Options{Devices: 1, Clock: func() time.Time { return now }})
	call := func() {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://graph.test/graph/v1.0/devices", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	begin := now
	for _, pause := range []time.Duration{0, 999 * time.Millisecond, time.Millisecond, time.Minute, -time.Second} {
		now = now.Add(pause)
		call()
	}
	want := []Second{{begin, 2}, {begin.Add(time.Second), 1}, {begin.Add(time.Minute + time.Second), 2}}
	for _, tc := range []struct {
		from time.Time
		want []Second
	}{{begin, want}, {begin.Add(1500 * time.Millisecond), want[1:]}, {begin.Add(time.Hour), nil}} {
		got := s.Pace(tc.from)
		if len(got) != len(tc.want) {
			t.Fatalf("Pace(%s) = %v, want %v", tc.from, got, tc.want)
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("Pace(%s)[%d] = %v, want %v", tc.from, i, got[i], tc.want[i])
			}
		}
	}
}

func TestPaceIsBounded(t *testing.T) {
	var p pace
	begin := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for i := range maxSeconds + 10 {
		p.count(begin.Add(time.Duration(i) * time.Second))
	}
	if n := len(p.seconds); n > maxSeconds {
		t.Errorf("%d seconds are kept, more than %d", n, maxSeconds)
	}
	if last := p.seconds[len(p.seconds)-1]; last.At != begin.Add((maxSeconds+9)*time.Second) || last.Calls != 1 {
		t.Errorf("the last second is %v", last)
	}
}
