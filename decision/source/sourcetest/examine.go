package sourcetest

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// examines checks a source that can say whether it works.
func examines(t *testing.T, f Factory) {
	fx := f(t, Devices(3))
	e, ok := fx.Source.(source.Examiner)
	if !ok {
		t.Skip("the source does not examine itself")
	}
	x := e.Examine(limit(t))
	sound(t, x)
	if worst := checkup.Worst(x.Findings); worst == checkup.Fault {
		t.Errorf("a source that works finds a fault: %+v", x.Findings)
	}
	for _, k := range x.Sample { // a source may add ids of its own kind
		if k.Kind == Devices(1)[0].Keys[0].Kind && matches(Devices(3), &decision.Verdict{Device: decision.Device{Keys: []decision.Key{k}}}) != 1 {
			t.Errorf("the sample %v is none of the devices", k)
		}
	}
	fx.Break()
	x = e.Examine(limit(t))
	sound(t, x)
	if worst := checkup.Worst(x.Findings); worst != checkup.Fault && worst != checkup.Warning {
		t.Errorf("a broken source finds nothing: %+v", x.Findings)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan source.Examination, 1)
	go func() { done <- e.Examine(ctx) }()
	select {
	case x := <-done:
		sound(t, x)
	case <-time.After(30 * time.Second):
		t.Fatal("Examine does not heed the end of its context")
	}
}

// sound checks the form of an examination.
func sound(t *testing.T, x source.Examination) {
	t.Helper()
	if len(x.Findings) == 0 {
		t.Error("an examination without findings")
	}
	for _, f := range x.Findings {
		if f.Check == "" || f.Text == "" {
			t.Errorf("finding %+v has no check or no text", f)
		}
		if (f.State == checkup.Fault || f.State == checkup.Warning) && f.Fix == "" {
			t.Errorf("finding %+v has no next step", f)
		}
	}
}
