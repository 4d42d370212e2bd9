package source_test

import (
	"context"
	"fmt"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// shelf is a source of one's own: it lists everything that it knows.
type shelf []decision.Verdict

func (shelf) Facts() decision.FactSet { return decision.Facts(decision.FactManaged) }

func (s shelf) Sync(_ context.Context, sweep *source.Sweep) error {
	for _, v := range s {
		sweep.Device(v)
	}
	return nil
}

// A runner keeps a source in memory, and a directory answers from there: no
// request waits for the source.
func Example() {
	serial := func(s string) decision.Key { return decision.Key{Kind: decision.KindSerial, Value: s} }
	runner := source.NewRunner(shelf{
		{Device: decision.Device{Keys: []decision.Key{serial("PF3K9ABC")}, Name: "ALICE-LAPTOP", Managed: decision.Yes}},
	}, source.RunnerOptions{Name: "shelf", Authoritative: true})
	defer runner.Stop()
	if err := runner.Load(context.Background()); err != nil { // and runner.Start(ctx) to read it again
		fmt.Println(err)
		return
	}

	directory := source.NewDirectory([]*source.Runner{runner}, source.DirectoryOptions{})
	for _, s := range []string{"PF3K9ABC", "PF000000"} {
		p := directory.Posture(&decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{serial(s)}}})
		fmt.Printf("%q managed: %s, known: %v\n", p.Name, p.Managed, p.Evidence[0].Found)
	}
	// Output:
	// "ALICE-LAPTOP" managed: yes, known: true
	// "" managed: unknown, known: false
}
