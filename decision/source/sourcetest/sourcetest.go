package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Fixture is one source under test.
type Fixture struct {
	// Source has exactly the devices that the factory was given.
	Source source.Source
	// Break makes the point behind the source fail in the way that is typical
	// of it: unreachable, unreadable, answering with an error.
	Break func()
	// Kinds are the kinds of id that Lookup can ask for; nil means all. It is
	// not used if the source is no [source.Looker].
	Kinds []string
	// Change replaces the devices of the source, seen by its next Sync or Lookup. It
	// tells bad and good news of every fact that Source can report, as the devices have
	// them; of a fact that is unknown in them the source says nothing, or something
	// that nobody can read.
	Change func(devices []decision.Verdict)
	// Unchanging is why there is no Change: the suite asks for one of the two.
	Unchanging string
	// Unsaid are the facts of the source of which Change cannot tell bad news, nothing
	// and good news, and why. The suite logs it.
	Unsaid map[decision.Fact]string
}

// Factory makes a source that knows the given devices. It may leave out facts
// that the source cannot report, never ids. It registers its clean-up with t.
type Factory func(t *testing.T, devices []decision.Verdict) Fixture

// Run checks that sources made by f keep the contract. What a source cannot do
// is skipped; it must be able to list its devices, to look one up, or both.
func Run(t *testing.T, f Factory) {
	t.Run("capabilities", func(t *testing.T) { capable(t, f) })
	t.Run("lookup finds a device by each id", func(t *testing.T) { lookupByEachID(t, f) })
	t.Run("unknown device", func(t *testing.T) { unknownDevice(t, f) })
	t.Run("broken is not unknown", func(t *testing.T) { broken(t, f) })
	t.Run("context", func(t *testing.T) { honoursContext(t, f) })
	t.Run("facts cover the verdicts", func(t *testing.T) { factsCover(t, f) })
	t.Run("concurrent use", func(t *testing.T) { concurrent(t, f) })
	t.Run("sync", func(t *testing.T) { syncs(t, f) })
	t.Run("bad news outlives silence", func(t *testing.T) { outlives(t, f) })
	t.Run("tombstones", func(t *testing.T) { buries(t, f) })
	t.Run("examine", func(t *testing.T) { examines(t, f) })
}

// limit bounds every call: a source that hangs fails the test and not the run.
func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (f Fixture) supports(kind string) bool {
	for _, k := range f.Kinds {
		if k == kind {
			return true
		}
	}
	return f.Kinds == nil
}

// Devices returns n different devices with ids of three kinds and good news of every
// fact, except that every third one is noncompliant.
func Devices(n int) []decision.Verdict {
	out := make([]decision.Verdict, n)
	for i := range out {
		v := &out[i]
		v.Keys = []decision.Key{
			{Kind: decision.KindEntra, Value: fmt.Sprintf("%08x-0000-4000-8000-00000000e0e0", i+1)},
			{Kind: decision.KindIntune, Value: fmt.Sprintf("%08x-0000-4000-8000-0000000010e0", i+1)},
			{Kind: decision.KindSerial, Value: fmt.Sprintf("SERIAL%04d", i+1)},
		}
		v.Name = fmt.Sprintf("DEVICE-%04d", i+1)
		v.Platform, v.OSVersion = decision.Windows, decision.Version{10, 0, 22631, 1}
		tell(&v.Device, good)
		if i%3 == 2 {
			v.Compliance = decision.NonCompliant
		}
		v.LastCheckIn = time.Date(2026, 6, 1, 12, i%60, 0, 0, time.UTC)
	}
	return out
}

func capable(t *testing.T, f Factory) {
	fx := f(t, Devices(1))
	_, looks := fx.Source.(source.Looker)
	_, lists := fx.Source.(source.Syncer)
	if !looks && !lists {
		t.Error("the source can neither list its devices nor look one up")
	}
}

// looker is the source under test, if it can be asked for one device.
func looker(t *testing.T, fx Fixture) source.Looker {
	t.Helper()
	l, ok := fx.Source.(source.Looker)
	if !ok {
		t.Skip("the source does not look single devices up")
	}
	return l
}

func lookupByEachID(t *testing.T, f Factory) {
	devices := Devices(3)
	fx := f(t, devices)
	l := looker(t, fx)
	for _, want := range devices {
		for _, k := range want.Keys {
			if !fx.supports(k.Kind) {
				continue
			}
			got, err := l.Lookup(limit(t), k)
			if err != nil {
				t.Errorf("Lookup(%v): %v", k, err)
				continue
			}
			if !has(got.Keys, k) {
				t.Errorf("Lookup(%v) returned ids %v", k, got.Keys)
			}
			canonical(t, &got)
			if got.Compliance == decision.Compliant && want.Compliance != decision.Compliant {
				t.Errorf("Lookup(%v) says compliant, want %s", k, want.Compliance)
			}
		}
	}
}

func unknownDevice(t *testing.T, f Factory) {
	fx := f(t, Devices(1))
	l := looker(t, fx)
	for _, k := range Devices(9)[8].Keys {
		if !fx.supports(k.Kind) {
			continue
		}
		_, err := l.Lookup(limit(t), k)
		if !errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("Lookup(%v) = %v, want an error that wraps ErrUnknownDevice", k, err)
		}
	}
}

func broken(t *testing.T, f Factory) {
	devices := Devices(2)
	fx := f(t, devices)
	if fx.Break == nil {
		t.Fatal("the factory must be able to break the source")
	}
	fx.Break()
	l, looks := fx.Source.(source.Looker)
	for _, k := range []decision.Key{devices[0].Keys[0], Devices(9)[8].Keys[0]} {
		if !looks || !fx.supports(k.Kind) {
			continue
		}
		_, err := l.Lookup(limit(t), k)
		if errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("Lookup(%v) of a broken source says that the device is unknown", k)
		}
		// A Syncer may answer from its last sweep, but there was none.
		if err == nil {
			t.Errorf("Lookup(%v) of a broken source succeeds", k)
		}
	}
	if s, ok := fx.Source.(source.Syncer); ok {
		err := s.Sync(limit(t), source.NewSweep(10))
		if err == nil || errors.Is(err, source.ErrUnchanged) {
			t.Errorf("Sync of a broken source = %v, want an error", err)
		}
	}
}

func honoursContext(t *testing.T, f Factory) {
	devices := Devices(1)
	fx := f(t, devices)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() {
		err := ctx.Err()
		if l, ok := fx.Source.(source.Looker); ok {
			_, err = l.Lookup(ctx, devices[0].Keys[0])
		}
		if s, ok := fx.Source.(source.Syncer); ok && err != nil {
			err = s.Sync(ctx, source.NewSweep(10))
		}
		done <- err
	}()
	select {
	case err := <-done:
		if errors.Is(err, source.ErrUnknownDevice) {
			t.Error("Lookup with an ended context says that the device is unknown")
		}
		if err == nil {
			t.Error("an ended context goes unnoticed")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Lookup or Sync goes on after its context ended")
	}
}

func factsCover(t *testing.T, f Factory) {
	devices := Devices(4)
	fx := f(t, devices)
	seen := map[decision.Key]decision.Verdict{}
	if s, ok := fx.Source.(source.Syncer); ok {
		for _, v := range sweep(t, s) {
			seen[v.Keys[0]] = v
		}
	}
	l, looks := fx.Source.(source.Looker)
	for _, want := range devices {
		for _, k := range want.Keys {
			if looks && fx.supports(k.Kind) {
				if v, err := l.Lookup(limit(t), k); err == nil {
					seen[v.Keys[0]] = v
				}
				break
			}
		}
	}
	facts := fx.Source.Facts()
	for key, v := range seen {
		if missing := reported(&v.Device) &^ facts; missing != 0 {
			for fact := range decision.NumFacts {
				if missing.Has(fact) {
					t.Errorf("device %v reports %s, which Facts does not name", key, fact)
				}
			}
		}
	}
	if len(seen) == 0 {
		t.Error("the source reports no device at all")
	}
}

func concurrent(t *testing.T, f Factory) {
	devices := Devices(5)
	fx := f(t, devices)
	ctx := limit(t)
	l, looks := fx.Source.(source.Looker)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for _, v := range devices {
				_ = fx.Source.Facts()
				k := v.Keys[i%len(v.Keys)]
				if !looks || !fx.supports(k.Kind) {
					continue
				}
				got, err := l.Lookup(ctx, k)
				if err == nil && !has(got.Keys, k) {
					t.Errorf("Lookup(%v) returned ids %v", k, got.Keys)
				}
			}
		})
	}
	if s, ok := fx.Source.(source.Syncer); ok {
		wg.Go(func() {
			for range 3 {
				err := s.Sync(ctx, source.NewSweep(10))
				if err != nil && !errors.Is(err, source.ErrUnchanged) {
					t.Errorf("Sync: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// syncs checks that a sweep lists every device once, and again, or says that
// nothing changed.
func syncs(t *testing.T, f Factory) {
	want := Devices(7)
	fx := f(t, want)
	s, ok := fx.Source.(source.Syncer)
	if !ok {
		t.Skip("the source does not list its devices")
	}
	first := sweep(t, s)
	if len(first) != len(want) {
		t.Fatalf("Sync emitted %d devices, want %d", len(first), len(want))
	}
	for _, v := range first {
		canonical(t, &v)
		if matches(want, &v) != 1 {
			t.Errorf("Sync emitted ids %v, which are not those of exactly one device", v.Keys)
		}
	}
	again := source.NewSweep(len(want))
	err := s.Sync(limit(t), again)
	if errors.Is(err, source.ErrUnchanged) {
		return
	}
	if err != nil {
		t.Fatalf("second Sync: %v", err)
	}
	table, err := again.Table()
	if err != nil {
		t.Fatal(err)
	}
	if table.Len() != len(want) {
		t.Errorf("the second Sync emitted %d devices, want %d", table.Len(), len(want))
	}
}

// sweep runs one Sync and returns its devices. Nothing may be bad or ambiguous.
func sweep(t *testing.T, s source.Syncer) []decision.Verdict {
	t.Helper()
	sw := source.NewSweep(1000)
	if err := s.Sync(limit(t), sw); err != nil {
		t.Fatalf("Sync: %v", err)
	}
	if n, rows := sw.BadRows(); n > 0 {
		t.Errorf("Sync reports %d bad records: %v", n, rows)
	}
	table, err := sw.Table()
	if err != nil {
		t.Fatal(err)
	}
	if sw.Devices() != table.Len() {
		t.Errorf("Sync emitted %d records of %d devices: each once", sw.Devices(), table.Len())
	}
	if n := table.AmbiguousKeys(); n > 0 {
		t.Errorf("Sync emitted %d ambiguous ids", n)
	}
	var out []decision.Verdict
	for _, v := range table.All() {
		out = append(out, v)
	}
	return out
}
