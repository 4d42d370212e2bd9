package configmgr

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// made is a live record; day is when it was active last, 0 for never.
func made(id int64, entra, sid string, day int) *record {
	r := &record{resource: id, client: decision.Yes, keys: keysOf(text{s: "GUID:" + string(rune('A'+id))}, text{s: entra}, text{s: sid})}
	if day > 0 {
		r.facts.LastActiveTime.Time = time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC)
	}
	return r
}

func TestOneRowPerDevice(t *testing.T) {
	const sidTwo = "S-1-5-21-1004336348-1177238915-682003330-2208"
	blocked := made(1, entraOne, "", 1)
	blocked.facts.IsBlocked.Tri = decision.Yes
	tests := []struct {
		name    string
		records []*record
		want    map[int64]int // resource: ids
	}{
		{"different devices", []*record{made(1, entraOne, sidOne, 1), made(2, entraTwo, sidTwo, 1)}, map[int64]int{1: 3, 2: 3}},
		{"same Entra id: active last", []*record{made(1, entraOne, "", 9), made(2, entraOne, "", 3)}, map[int64]int{1: 2}},
		{"same Entra id: never active", []*record{made(1, entraOne, "", 0), made(2, entraOne, "", 3)}, map[int64]int{2: 2}},
		{"same Entra id: made last", []*record{made(1, entraOne, "", 3), made(2, entraOne, "", 3)}, map[int64]int{2: 2}},
		{"same SID, none has an Entra id", []*record{made(1, "", sidOne, 1), made(2, "", sidOne, 2)}, map[int64]int{2: 2}},
		{"same SID, the older has no Entra id", []*record{made(1, "", sidOne, 1), made(2, entraOne, sidOne, 2)}, map[int64]int{2: 3}},
		{"same SID, two Entra ids", []*record{made(1, entraOne, sidOne, 1), made(2, entraTwo, sidOne, 2)}, map[int64]int{1: 2, 2: 3}},
		{"no shared id", []*record{made(1, "", "", 1), made(2, "", "", 1)}, map[int64]int{1: 1, 2: 1}},
		{"no SID of a domain", []*record{made(1, "", "S-1-16-4096", 1), made(2, "", "nonsense", 1)}, map[int64]int{1: 1, 2: 1}},
		{"blocked twin", []*record{blocked, made(2, entraOne, "", 5)}, map[int64]int{2: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kept, dropped := devices(tt.records)
			if len(kept) != len(tt.want) || dropped != len(tt.records)-len(tt.want) {
				t.Errorf("kept %d and dropped %d, want %d kept", len(kept), dropped, len(tt.want))
			}
			for _, r := range kept {
				if n := len(r.keys); n != tt.want[r.resource] {
					t.Errorf("resource %d is kept with %d ids, want %d", r.resource, n, tt.want[r.resource])
				}
			}
		})
	}
	t.Run("a block outlives a new installation", func(t *testing.T) {
		kept, _ := devices([]*record{blocked, made(2, entraOne, "", 5)})
		v := judge{now: now}.verdict(kept[0])
		if v.Enabled != decision.No {
			t.Errorf("enabled %s, want no", v.Enabled)
		}
	})
}
