package inventory

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// With a poll that never comes, what a Runner knows follows the file because
// Watch tells it to.
func TestRunnerFollowsTheFile(t *testing.T) {
	const header = "serial,compliance\n"
	fleet := ""
	for _, s := range []string{"a", "b", "c", "d", "e", "f"} {
		fleet += s + ",compliant\n"
	}
	f := newFile(t, header+fleet+"x1,compliant\n")
	s, err := New(Options{Path: f.path, CheckInterval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := source.NewRunner(s, source.RunnerOptions{Name: "inventory", Authoritative: true, Poll: time.Hour})
	changed := make(chan struct{}, 1)
	remove := r.OnChange(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer remove()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := r.Load(ctx); err != nil {
		t.Fatal(err)
	}
	r.Start(ctx)
	defer r.Stop()

	expect := func(what string, want decision.Compliance, kept int, healthy bool) {
		t.Helper()
		end := time.After(time.Minute)
		for {
			m := r.Find([]decision.Key{{Kind: decision.KindSerial, Value: "X1"}})
			if m.Verdict != nil && m.Verdict.Compliance == want && (r.State().Failing() == decision.CauseNone) == healthy &&
				r.Status().Kept == kept {
				return
			}
			select {
			case <-changed:
			case <-time.After(20 * time.Millisecond): // health has no event
			case <-end:
				t.Fatalf("%s: found %+v, failing %v", what, m.Verdict, r.State().Failing())
			}
		}
	}
	expect("first load", decision.Compliant, 0, true)
	f.write(header + fleet + "x1,compl")
	expect("a last value that is cut off", decision.ComplianceUnknown, 0, true)
	f.write(header + fleet + "x1,noncompliant\n")
	expect("an edit", decision.NonCompliant, 0, true)
	f.write(header + fleet + "x1,compl")
	expect("a value that is cut off after bad news", decision.NonCompliant, 1, true)
	f.write(header + fleet + "x1")
	expect("a last row that is cut off", decision.NonCompliant, 1, false)
	f.write(header + fleet + "x1,compliant\n")
	expect("a repaired file", decision.Compliant, 0, true)
}
