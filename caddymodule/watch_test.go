package caddymodule

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// hungList is a list of revocations whose disk hangs until it is released.
type hungList struct{ release chan struct{} }

func (l hungList) Broken() error { return errors.New("no space left") }

func (l hungList) Sync(context.Context) error {
	<-l.release
	return nil
}

func (l hungList) NextExpiry(time.Time) time.Time {
	<-l.release
	return time.Time{}
}

// A configuration stops although the disk with the revocations hangs.
func TestWatchersOfAHungDisk(t *testing.T) {
	for name, watch := range map[string]func(context.Context, revocationList){
		"journal": func(ctx context.Context, l revocationList) { writeLate(ctx, l, zap.NewNop()) },
		"ends":    func(ctx context.Context, l revocationList) { endRevocations(ctx, l, func() {}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := hungList{make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				stopped := make(chan struct{})
				go func() {
					defer close(stopped)
					watch(ctx, l)
				}()
				time.Sleep(2 * journalRetry) // of the bubble's clock
				synctest.Wait()
				cancel()
				synctest.Wait()
				select {
				case <-stopped:
				default:
					t.Error("it waits for the disk")
				}
				close(l.release)
				<-stopped
			})
		})
	}
}

// endingList has revocations that end one after another.
type endingList struct {
	hungList
	ends []time.Time
}

func (l endingList) NextExpiry(now time.Time) time.Time {
	for _, end := range l.ends {
		if end.After(now) {
			return end
		}
	}
	return time.Time{}
}

func TestEndsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := endingList{ends: []time.Time{start.Add(5 * time.Second), start.Add(20 * time.Second)}}
		ctx, cancel := context.WithCancel(t.Context())
		var told []time.Duration
		go endRevocations(ctx, l, func() { told = append(told, time.Since(start)) })
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		if len(told) != 2 || told[0] != 5*time.Second || told[1] != 20*time.Second {
			t.Errorf("told after %v", told)
		}
	})
}
