package defender

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// says reports whether a JSON object has a member with one of these words, in any
// case of both, as the decoder reads it.
func says(raw []byte, member string, words ...string) bool {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return false
	}
	for k, v := range m {
		var s string
		if strings.EqualFold(k, member) && json.Unmarshal(v, &s) == nil && slices.Contains(words, strings.ToLower(s)) {
			return true
		}
	}
	return false
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte(rowAt(1, "None", noon)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := decodeMachine(raw, noon, tally{})
		if err != nil {
			if len(v.Keys) > 0 {
				t.Error("an unusable row has ids")
			}
			return
		}
		if v.Keys[0].Kind != decision.KindDefender || len(v.Keys) > 2 {
			t.Errorf("ids %v", v.Keys)
		}
		for _, k := range v.Keys {
			if c, ok := decision.CanonicalKey(k.Kind, k.Value); !ok || c != k {
				t.Errorf("id %v is not canonical", k)
			}
		}
		if v.Risk == decision.LevelNone && !says(raw, "riskScore", "none", "informational") {
			t.Errorf("no risk without a word of it: %s", raw)
		}
		if v.Exposure == decision.LevelNone && !says(raw, "exposureLevel", "none", "informational") {
			t.Errorf("no exposure without a word of it: %s", raw)
		}
		if v.Sensor == decision.SensorActive && !says(raw, "healthStatus", "active") {
			t.Errorf("active sensor without a word of it: %s", raw)
		}
		if v.Risk != decision.LevelUnknown && v.RiskFloor == (v.Sensor == decision.SensorActive) {
			t.Errorf("risk %v of a machine whose sensor is %v: floor %v", v.Risk, v.Sensor, v.RiskFloor)
		}
		if v.Unreadable.Has(decision.FactRisk) && v.Risk != decision.LevelUnknown {
			t.Errorf("risk %v cannot be read", v.Risk)
		}
		if v.EvaluatedAt.After(noon.Add(futureLimit)) {
			t.Errorf("seen in the future: %v", v.EvaluatedAt)
		}
		// What is remembered is what was decoded: else every poll is a change.
		var kept fleet
		if _, err := kept.put(v, noon); err != nil {
			t.Fatalf("the listing refuses the machine: %v", err)
		}
		if _, err := kept.pack(); err != nil {
			t.Fatal(err)
		}
		if changed, err := kept.put(v, noon); changed || err != nil {
			t.Errorf("the same row again is a change: %+v, %v", v.Device, err)
		}
		sw := source.NewSweep(1)
		sw.Device(v)
		if n, bad := sw.BadRows(); n > 0 {
			t.Errorf("the sweep refuses the machine: %v", bad)
		}
	})
}

func FuzzAlert(f *testing.F) {
	f.Add([]byte(alertOf(1, "High", "New")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, a := decodeAlert(raw, tally{})
		if a.severity == decision.LevelUnknown {
			if a.machine.Value != "" && !a.unreadable {
				t.Errorf("an alert that says nothing counts: %s", raw)
			}
			return
		}
		if a.severity < decision.LevelLow || a.severity > decision.LevelHigh || !says(raw, "severity", "low", "medium", "high") {
			t.Errorf("severity %v of %s", a.severity, raw)
		}
		if k, ok := machineKey(a.machine.Value); !ok || k != a.machine {
			t.Errorf("alert about %v", a.machine)
		}
	})
}
