package vectors

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/inventory"
)

// TestRowsReadBack writes every row to one inventory file and reads it with the
// real source: the replay in this process and the one through the gateway must
// decide on the same device.
func TestRowsReadBack(t *testing.T) {
	now := time.Now()
	vs := load(t)
	devices, users := []map[string]any{}, []map[string]any{}
	for i := range vs {
		if row := vs[i].InventoryRow(now); row != nil {
			devices = append(devices, row)
		}
		if row := vs[i].AccountRow(); row != nil {
			users = append(users, row)
		}
	}
	text, err := json.Marshal(map[string]any{"version": 1, "devices": devices, "users": users})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "devices.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := inventory.New(inventory.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	sweep := source.NewSweep(0)
	if err := src.Sync(t.Context(), sweep); err != nil {
		t.Fatal(err)
	}
	table, err := sweep.Table()
	if err != nil {
		t.Fatal(err)
	}
	for i := range vs {
		v := &vs[i]
		if v.Inventory == nil {
			continue
		}
		want, err := v.Inventory.device(now, v.rowKeys())
		if err != nil {
			t.Fatal(err)
		}
		row, ok := table.Find(decision.Key{Kind: decision.KindEntra, Value: v.DeviceID()})
		if !ok {
			t.Errorf("%s:%d: %q: the device is not in the table", v.File, v.Line, v.Name)
		} else if got := table.Verdict(row).Device; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:%d: %q\nread %+v\nwant %+v", v.File, v.Line, v.Name, got, want)
		}
	}
}
