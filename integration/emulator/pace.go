package emulator

import (
	"slices"
	"sync"
	"time"
)

// Second is one second of the server's clock in which calls arrived.
type Second struct {
	At    time.Time // its beginning, UTC
	Calls int       // of all clients, refused and failed ones included; a $batch is one
}

// maxSeconds bounds what Pace remembers: a day in which every second has a call.
const maxSeconds = 86_400

// pace counts calls by the second, oldest first. Seconds without a call are absent.
type pace struct {
	mu      sync.Mutex
	seconds []Second
}

func (p *pace) count(now time.Time) {
	at := now.UTC().Truncate(time.Second)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.seconds); n > 0 && !p.seconds[n-1].At.Before(at) { // also when a call overtakes another one
		p.seconds[n-1].Calls++
		return
	}
	if len(p.seconds) >= maxSeconds {
		p.seconds = slices.Delete(p.seconds, 0, maxSeconds/10)
	}
	p.seconds = append(p.seconds, Second{At: at, Calls: 1})
}

// Pace is how many calls arrived in each second since from, oldest first, without
// the seconds that had none. It shows a herd: many clients that call at once. At
// most the last 86,400 seconds with calls are kept.
func (s *Server) Pace(from time.Time) []Second {
	from = from.UTC().Truncate(time.Second)
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.pace.seconds, from, func(x Second, t time.Time) int { return x.At.Compare(t) })
	return slices.Clone(s.pace.seconds[i:])
}
