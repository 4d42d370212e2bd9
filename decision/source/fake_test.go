package source

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// fake is a source whose answers a test sets.
type fake struct {
	mu      sync.Mutex
	devices []decision.Verdict
	users   []decision.UserRecord
	bad     int
	err     error // of Sync and Lookup
	panics  bool
	confirm time.Time
	why     error
	delay   time.Duration
	syncs   int
	lookups int
}

func (f *fake) set(change func(f *fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) calls() (syncs, lookups int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncs, f.lookups
}

func (f *fake) Facts() decision.FactSet { return decision.AllFacts }

func (f *fake) Lookup(ctx context.Context, key decision.Key) (decision.Verdict, error) {
	f.mu.Lock()
	f.lookups++
	delay, err, panics := f.delay, f.err, f.panics
	var found *decision.Verdict
	for i := range f.devices {
		if hasKey(f.devices[i].Keys, key) {
			v := f.devices[i]
			found = &v
		}
	}
	f.mu.Unlock()
	if panics {
		panic("look-up")
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return decision.Verdict{}, ctx.Err()
	}
	switch {
	case err != nil:
		return decision.Verdict{}, err
	case found == nil:
		return decision.Verdict{}, ErrUnknownDevice
	}
	return *found, nil
}

// lister is a fake that lists its devices.
type lister struct{ fake }

func (f *lister) Sync(_ context.Context, s *Sweep) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncs++
	if f.panics {
		panic("sync")
	}
	if !f.confirm.IsZero() || f.why != nil {
		s.SetConfirmed(f.confirm, f.why)
	}
	if f.err != nil {
		return f.err
	}
	for _, v := range f.devices {
		s.Device(v)
	}
	for _, u := range f.users {
		s.User(u)
	}
	for range f.bad {
		s.Bad("line 1", errors.New("broken"))
	}
	return nil
}

// memory is a snapshot store that forgets nothing.
type memory struct {
	mu    sync.Mutex
	body  []byte
	err   error
	saves int
}

func (m *memory) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.body, m.err
}

func (m *memory) Save(body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saves++
	if m.err == nil {
		m.body = body
	}
	return m.err
}

func (m *memory) saved() (times int, body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves, m.body
}

// bubble runs f with a fake clock and stops the runners that it makes.
func bubble(t *testing.T, f func(t *testing.T, run func(Source, RunnerOptions) *Runner)) {
	synctest.Test(t, func(t *testing.T) {
		var all []*Runner
		defer func() {
			for _, r := range all {
				r.Stop()
			}
		}()
		f(t, func(s Source, o RunnerOptions) *Runner {
			o.Name = "fake"
			r := NewRunner(s, o)
			all = append(all, r)
			return r
		})
	})
}

// pass lets the fake clock run and everything settle.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
