package source

import "context"

// Turn lets one caller in at a time: a [Source] whose Sync changes what it
// remembers takes it, so that it is safe whoever calls. Waiting ends with the
// caller's context, which a mutex cannot do. Make one with [NewTurn].
type Turn chan struct{}

// NewTurn returns a turn that nobody has.
func NewTurn() Turn { return make(Turn, 1) }

// Take waits for the turn, or returns the error of ctx. Whoever took it gives it
// back.
func (t Turn) Take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Give gives the turn back.
func (t Turn) Give() { <-t }
