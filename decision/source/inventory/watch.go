package inventory

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watch looks at the file every CheckInterval and calls changed once a change
// has come to rest. Where the system tells of changes in the file's directory
// it looks at once; the directory, because an editor that writes a new file and
// renames it leaves a watch on the old one behind. A file that disappears is a
// change too. Watch returns the error of ctx.
func (s *Source) Watch(ctx context.Context, changed func()) error {
	events, stop := s.notifications()
	defer stop()
	ticks := time.NewTicker(s.o.CheckInterval)
	defer ticks.Stop()
	rest := min(quietTime, s.o.CheckInterval)
	settle := time.NewTimer(rest)
	settle.Stop()
	defer settle.Stop()

	told := s.current()
	s.mu.Lock()
	if s.good != nil {
		told = s.good.stamp // notices what happened since then
	}
	s.mu.Unlock()
	last := told
	for armed := false; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-events:
			if !ok {
				events = nil // the ticker goes on
			}
			if !armed { // a burst is one look
				armed = true
				settle.Reset(rest)
			}
			continue
		case <-settle.C:
			armed = false
		case <-ticks.C:
		}
		now := s.current()
		switch {
		case now.equal(told):
		case now.equal(last):
			told = now
			changed()
		case !armed: // look again before telling
			armed = true
			settle.Reset(rest)
		}
		last = now
	}
}

// current returns the file's stamp; one without a file if there is none.
func (s *Source) current() stamp {
	info, err := os.Stat(s.o.Path)
	if err != nil {
		return stamp{}
	}
	return stampOf(info)
}

// notifications watches the file's directory. Without such a service, or with
// none of its watches left, the channel is nil and never ready.
func (s *Source) notifications() (events <-chan fsnotify.Event, stop func()) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, func() {}
	}
	if err := w.Add(filepath.Dir(s.o.Path)); err != nil {
		w.Close() //nolint:errcheck // it watches nothing
		return nil, func() {}
	}
	done := make(chan struct{})
	go func() { // an overflow is an error here; the ticker covers for it
		defer close(done)
		for range w.Errors { //nolint:revive // drained
		}
	}()
	return w.Events, func() {
		w.Close() //nolint:errcheck // nothing to be done about it
		<-done
	}
}
