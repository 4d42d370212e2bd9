package inventory_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/inventory"
)

// A file that a script wrote becomes the devices of a runner. What it does not
// say stays unknown.
func Example() {
	dir, err := os.MkdirTemp("", "inventory-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "devices.json")
	err = os.WriteFile(file, []byte(`{"version":1,"devices":[
		{"ids":{"serial":"C02XK1"},"name":"Ann's Mac","platform":"macos","os_version":"14.5","compliance":"compliant"}
	]}`), 0o600)
	if err != nil {
		fmt.Println(err)
		return
	}

	src, err := inventory.New(inventory.Options{Path: file})
	if err != nil {
		fmt.Println(err)
		return
	}
	runner := source.NewRunner(src, source.RunnerOptions{Name: "inventory", Authoritative: true})
	defer runner.Stop()
	if err := runner.Load(context.Background()); err != nil { // and runner.Start(ctx) to notice changes
		fmt.Println(err)
		return
	}
	mac := decision.Key{Kind: decision.KindSerial, Value: "C02XK1"}
	p := source.NewDirectory([]*source.Runner{runner}, source.DirectoryOptions{}).
		Posture(&decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{mac}}})
	fmt.Println(p.Name, p.Compliance, "encrypted:", p.Encrypted)
	// Output:
	// Ann's Mac compliant encrypted: unknown
}
