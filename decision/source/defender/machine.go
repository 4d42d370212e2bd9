package defender

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// machineRow is one machine of /api/machines, as far as it matters. The service
// supports no $select there.
type machineRow struct {
	ID         text `json:"id"`
	EntraID    text `json:"aadDeviceId"`
	Name       text `json:"computerDnsName"`
	LastSeen   text `json:"lastSeen"`
	Risk       text `json:"riskScore"`
	Exposure   text `json:"exposureLevel"`
	Health     text `json:"healthStatus"`
	Onboarding text `json:"onboardingStatus"`
}

var (
	errNoObject = errors.New("row is not an object")
	errNoID     = errors.New("row has no usable id")
)

// decodeMachine reads one machine. Its own id comes first among its ids. The
// error says why the row cannot be used at all.
func decodeMachine(raw []byte, now time.Time, t tally) (v decision.Verdict, err error) {
	var row machineRow
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &row) != nil {
		return v, errNoObject
	}
	own, ok := machineKey(row.ID.value)
	if !ok {
		return v, errNoID
	}
	v.Keys = append(make([]decision.Key, 0, 2), own)
	if id := row.EntraID.read("aadDeviceId", t); id != "" && id != zeroGUID {
		k, ok := decision.CanonicalKey(decision.KindEntra, id)
		if ok {
			v.Keys = append(v.Keys, k)
		} else {
			t.problem("aadDeviceId", badID)
		}
	}
	v.Name = display(row.Name.read("computerDnsName", t))
	// Not a check-in: the sensor's full report comes about once a day.
	v.EvaluatedAt = date("lastSeen", &row.LastSeen, now, t)
	d := &v.Device
	d.Exposure = fact(d, decision.FactExposure, levels, "exposureLevel", &row.Exposure, t)
	d.Risk = fact(d, decision.FactRisk, levels, "riskScore", &row.Risk, t)
	d.Sensor = fact(d, decision.FactSensor, healths, "healthStatus", &row.Health, t)
	row.onboarding(d, t)
	// Nobody watches the risk unless the sensor reports: the score can then only
	// have become worse.
	d.RiskFloor = d.Risk != decision.LevelUnknown && d.Sensor != decision.SensorActive
	return v, nil
}

// fact translates the spelling of a fact, and notes one that cannot be read.
func fact[T any](d *decision.Device, f decision.Fact, words map[string]T, field string, from *text, t tally) T {
	w, readable := word(words, field, from, t)
	if !readable {
		d.Unreadable |= decision.Facts(f)
	}
	return w
}

const zeroGUID = "00000000-0000-0000-0000-000000000000"

// onboarding says what the sensor's health is worth: a machine that was only seen on
// the network has no sensor. Null leaves it to the health alone.
func (row *machineRow) onboarding(d *decision.Device, t tally) {
	watched, readable := word(onboarded, "onboardingStatus", &row.Onboarding, t)
	switch {
	case !readable: // a word that nobody knows yet
		d.Sensor = decision.SensorUnknown
		d.Unreadable |= decision.Facts(decision.FactSensor)
	case watched == decision.No:
		d.Sensor = decision.SensorNotOnboarded
		d.Unreadable &^= decision.Facts(decision.FactSensor)
	}
}

// The spellings of enumerations, in lower case: the documents of the service mix
// their case.
var (
	levels = map[string]decision.Level{
		"none": decision.LevelNone, "informational": decision.LevelNone, // informational alerts ask for nothing
		"low": decision.LevelLow, "medium": decision.LevelMedium, "high": decision.LevelHigh,
	}
	healths = map[string]decision.Sensor{
		"active": decision.SensorActive, "inactive": decision.SensorInactive,
		"impairedcommunication": decision.SensorImpaired, "nosensordata": decision.SensorNoData,
		"nosensordataimpairedcommunication": decision.SensorNoData, "unknown": decision.SensorUnknown,
	}
	onboarded = map[string]decision.Tri{
		"onboarded": decision.Yes, "canbeonboarded": decision.No, "unsupported": decision.No, "insufficientinfo": decision.No,
	}
)

// entraKey returns the directory's device id of a machine, if it has one.
func entraKey(d *decision.Device) (decision.Key, bool) {
	for _, k := range d.Keys {
		if k.Kind == decision.KindEntra {
			return k, true
		}
	}
	return decision.Key{}, false
}
