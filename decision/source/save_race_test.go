package source

import (
	"slices"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// interrupted is a source during whose next Note something happens.
type interrupted struct {
	lister
	hook func()
}

func (n *interrupted) Note() []byte {
	if h := n.hook; h != nil {
		n.hook = nil
		h()
	}
	return []byte("note")
}

func (*interrupted) TakeNote([]byte) {}

// TestSaveOverlapsAChange: what takes the place of a table while its snapshot waits for
// the note of the source is in that snapshot, or in the next one.
func TestSaveOverlapsAChange(t *testing.T) {
	for _, tc := range []struct {
		name          string
		before, after decision.Verdict // of a sweep before, and of one meanwhile
		forget        bool             // instead of the sweep
	}{
		{"a device is forgotten", one(0, silent), one(0, silent), true},
		{"a sweep has bad news", one(0, silent), one(0, noncompliant), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				src, store := &interrupted{}, &memory{}
				r := run(src, RunnerOptions{Snapshot: store})
				sweep := func(v decision.Verdict) {
					src.set(func(f *fake) { f.devices = append(fleet(30, nil)[1:], v) })
					mustSync(t, r)
				}
				sweep(one(0, worst))
				sweep(tc.before)
				if err := r.save(false); err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				src.hook = func() {
					changed := make(chan struct{}, 1)
					defer r.OnChange(func() { changed <- struct{}{} })()
					if tc.forget {
						go func() {
							_, err := only(r).Forget(entra(0), "")
							done <- err
						}()
					} else {
						sweep(tc.after)
						done <- nil
					}
					<-changed
				}
				if err := r.save(true); err != nil {
					t.Fatal(err)
				}
				if src.hook != nil {
					t.Fatal("the note was not asked for")
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if err := r.save(false); err != nil { // as the loop does after a sweep
					t.Fatal(err)
				}
				_, body := store.saved()
				again := run(src, RunnerOptions{Snapshot: &memory{body: slices.Clone(body)}})
				again.restore()
				if got, want := factsAt(again, entra(0)), factsAt(r, entra(0)); got != want {
					t.Errorf("after a crash: facts %x, want %x", got, want)
				}
				if got, want := again.Status().Kept, r.Status().Kept; got != want {
					t.Errorf("after a crash: %d kept, want %d", got, want)
				}
			})
		})
	}
}
