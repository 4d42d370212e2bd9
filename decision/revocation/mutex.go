package revocation

import (
	"container/heap"
	"context"
	"slices"
)

// mutex is a lock whose waiters can give up.
type mutex chan struct{}

func newMutex() mutex { return make(mutex, 1) }

// lock waits for the lock or the end of ctx. An ended context never gets it.
func (m mutex) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case m <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m mutex) lockNow() { m <- struct{}{} }

func (m mutex) unlock() { <-m }

// ends is a heap of the records that have an end, the earliest first. Records
// that were replaced or released stay in it until their end or a rewrite.
type ends []*record

// add pushes a record if it has an end.
func (h *ends) add(r *record) {
	if !r.entry.Until.IsZero() {
		heap.Push(h, r)
	}
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (h ends) Len() int           { return len(h) }
func (h ends) Less(i, j int) bool { return h[i].entry.Until.Before(h[j].entry.Until) }
func (h ends) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ends) Push(x any)        { *h = append(*h, x.(*record)) }

func (h *ends) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return r
}

// keep drops the records that f refuses and restores the order.
func (h *ends) keep(f func(*record) bool) {
	*h = slices.DeleteFunc(*h, func(r *record) bool { return !f(r) })
	heap.Init(h)
}
