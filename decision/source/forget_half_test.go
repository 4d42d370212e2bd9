package source

import (
	"errors"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// hooked is a store during whose next Save something happens.
type hooked struct {
	memory
	hook func()
}

func (h *hooked) Save(body []byte) error {
	if f := h.hook; f != nil {
		h.hook = nil
		f()
	}
	return h.memory.Save(body)
}

// TestForgetSaysWhatItDid: while the first source forgets, a guard of the second one
// begins to hold the device back. The answer has the error and what was forgotten, and
// nothing of the source that did not.
func TestForgetSaysWhatItDid(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		store := &hooked{}
		first, second := &lister{}, &lister{}
		a, b := run(first, RunnerOptions{Snapshot: store}), run(second, RunnerOptions{})
		a.o.Name = "first"
		list := func(l *lister, r *Runner, devices []decision.Verdict) {
			l.set(func(f *fake) { f.devices = devices })
			mustSync(t, r)
		}
		bad := func() []decision.Verdict { return fleet(100, func(_ int, v *decision.Verdict) { worst(v) }) }
		for l, r := range map[*lister]*Runner{first: a, second: b} {
			list(l, r, bad())
			list(l, r, append(bad()[1:], one(0, silent)))
		}
		store.hook = func() { list(second, b, fleet(100, nil)) }
		got, err := NewDirectory([]*Runner{a, b}, DirectoryOptions{}).Forget(entra(0), "")
		if !errors.Is(err, ErrHeldBack) || len(got) != 1 || got[0].Source != "first" || !got[0].Any() {
			t.Errorf("%+v, %v", got, err)
		}
		if only(a).Kept(identity(entra(0)))[0].Any() {
			t.Error("the first source has it still")
		}
	})
}
