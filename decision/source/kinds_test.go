package source

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// byIntune can be asked by Intune ids only, and names no other id.
type byIntune struct{ fake }

func (*byIntune) Kinds() []string { return []string{decision.KindIntune} }

// TestKindLimited: a source is not asked for ids that it cannot know, and an id
// that no source can know makes nothing ambiguous.
func TestKindLimited(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		intune := decision.Key{Kind: decision.KindIntune, Value: "b7c9e0f2-1111-4222-8333-944445555666"}
		v := decision.Verdict{Device: decision.Device{Keys: []decision.Key{intune}, Compliance: decision.Compliant}}
		src := &byIntune{fake{devices: []decision.Verdict{v}}}
		r := run(src, RunnerOptions{})
		ask := func(d *Directory, keys ...decision.Key) *decision.Posture {
			return d.Resolve(t.Context(), &decision.Identity{Device: decision.DeviceRef{Keys: keys, Proof: decision.ProofCertificate}})
		}
		alone := NewDirectory([]*Runner{r}, DirectoryOptions{})
		if p := ask(alone, entra(1)); p.Known() || p.Ambiguous || p.Evidence[0].Cause != decision.CauseNone {
			t.Errorf("an id that it cannot know: %+v", p.Evidence[0])
		}
		if _, n := src.calls(); n != 0 {
			t.Errorf("asked %d times for an id that it cannot know", n)
		}
		if p := ask(alone, intune, entra(1)); !p.Known() || p.Ambiguous || p.Compliance != decision.Compliant {
			t.Errorf("both ids: known %v, ambiguous %v", p.Known(), p.Ambiguous)
		}
		// Another source that does know that kind has its say.
		other := run(&lister{fake{devices: fleet(3, nil)}}, RunnerOptions{})
		if err := other.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		both := NewDirectory([]*Runner{r, other}, DirectoryOptions{})
		if p := ask(both, intune, entra(1)); !p.Ambiguous {
			t.Error("ids of two devices are not ambiguous")
		}
		if p := ask(both, intune, entra(77)); !p.Ambiguous {
			t.Error("an id that only one source knows, and the other does not have, is not ambiguous")
		}
	})
}

// pinning lists ids by which it cannot be asked.
type pinning struct{ lister }

func (*pinning) CanLookup(kind string) bool { return kind != decision.KindPinnedCertificate }

// TestLookupLimited: ids that a source lists but cannot be asked by leave it alone,
// however many requests show them, and keep nothing unsettled.
func TestLookupLimited(t *testing.T) {
	pin := decision.PinnedCertificate([20]byte{1}, [32]byte{1})
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		own, other := &lister{}, &pinning{}
		own.devices = []decision.Verdict{device(decision.Compliant, entra(1), pin)}
		other.devices = []decision.Verdict{device(decision.Compliant, entra(2), decision.PinnedCertificate([20]byte{2}, [32]byte{2}))}
		a, b := run(own, RunnerOptions{AskUnknown: true}), run(other, RunnerOptions{AskUnknown: true, Index: 1})
		d := NewDirectory([]*Runner{a, b}, DirectoryOptions{})

		if p := d.Resolve(t.Context(), identity(pin)); p.Known() && p.Evidence[1].Cause != decision.CauseNotLoaded {
			t.Errorf("before the listing: cause %v", p.Evidence[1].Cause)
		}
		if _, n := other.calls(); n > 1 { // for the id that the first source told
			t.Errorf("%d look-ups before the listing", n)
		}
		for _, r := range []*Runner{a, b} {
			if err := r.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		_, before := other.calls()
		for _, keys := range [][]decision.Key{{entra(1)}, {pin}, {entra(1), pin}} {
			id := identity(keys...)
			for range 2 * breakerRow {
				if p := d.Resolve(t.Context(), id); !p.Known() || p.Ambiguous {
					t.Errorf("%v: known %v, ambiguous %v", keys, p.Known(), p.Ambiguous)
				}
			}
			if d.memo(id) == nil {
				t.Errorf("%v: every request asks again", keys)
			}
		}
		if _, after := other.calls(); after-before > 1 {
			t.Errorf("%d look-ups, want one for the id that it can be asked by", after-before)
		}
		if m := b.Find([]decision.Key{other.devices[0].Keys[1]}); m.Verdict == nil {
			t.Error("the listing does not find a device by such an id")
		}
		if b.Asks(pin) || !b.Asks(entra(1)) {
			t.Errorf("Asks: pin %v, entra %v", b.Asks(pin), b.Asks(entra(1)))
		}
	})
}
