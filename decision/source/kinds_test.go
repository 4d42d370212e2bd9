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
