package inventory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// watched runs Watch and returns a channel of its calls.
func watched(t *testing.T, s *Source) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	calls := make(chan struct{}, 100)
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, func() { calls <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Watch returned %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("Watch did not return")
		}
	})
	return calls
}

func called(t *testing.T, calls <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-calls:
	case <-time.After(time.Minute):
		t.Fatalf("%s was not noticed", what)
	}
}

func TestWatch(t *testing.T) {
	// With a long interval only the notification can be the one that tells;
	// with a directory that the watch loses, only the interval can.
	for name, interval := range map[string]time.Duration{"notified": time.Hour, "polled": 10 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "inventory")
			write := func(name, content string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			write("devices", plainOne)
			s, err := New(Options{Path: filepath.Join(dir, "devices"), CheckInterval: interval})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := (&file{t: t}).sync(s); err != nil {
				t.Fatal(err)
			}
			write("devices", plainOne+"x2,compliant\n") // before Watch begins
			calls := watched(t, s)
			if name == "polled" {
				called(t, calls, "a change before Watch")
				if err := os.Rename(dir, dir+"-old"); err != nil { // takes the watch along
					t.Fatal(err)
				}
				called(t, calls, "the loss of the directory")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				write("devices", plainOne)
				called(t, calls, "a new directory")
				return
			}
			awaitWatch(t, dir, calls)
			write("devices", plainOne+"x3,compliant\nx4,compliant\n")
			called(t, calls, "an edit")
			write("new", plainOne)
			if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "devices")); err != nil {
				t.Fatal(err)
			}
			called(t, calls, "a replacement")
			if err := os.Remove(filepath.Join(dir, "devices")); err != nil {
				t.Fatal(err)
			}
			called(t, calls, "a removal")
		})
	}
}

// awaitWatch touches another file of the directory until the watch is in place,
// which shows by its telling of the change that happened before it was.
func awaitWatch(t *testing.T, dir string, calls <-chan struct{}) {
	t.Helper()
	touch := time.NewTicker(20 * time.Millisecond)
	defer touch.Stop()
	end := time.After(time.Minute)
	for {
		select {
		case <-calls:
			return
		case <-touch.C:
			if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		case <-end:
			t.Fatal("the directory is not being watched")
		}
	}
}
