package inventory_test

import (
	"fmt"
	"os"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/inventory"
)

// The documents that WriteJSON makes are what a script of one's own would write.
func ExampleWriteJSON() {
	devices := []decision.Verdict{{Device: decision.Device{
		Keys:       []decision.Key{{Kind: decision.KindSerial, Value: "C02XK1"}},
		Name:       "Ann's Mac",
		Platform:   decision.MacOS,
		OSVersion:  decision.Version{14, 5},
		Compliance: decision.Compliant,
		Encrypted:  decision.Yes,
	}}}
	if err := inventory.WriteJSON(os.Stdout, devices, nil); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"version":1,"devices":[
	// {"ids":{"serial":"C02XK1"},"name":"Ann's Mac","platform":"macos","os_version":"14.5","compliance":"compliant","encrypted":"yes"}
	// ],"users":[
	// ]}
}
