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
	v.Exposure = word(levels, "exposureLevel", &row.Exposure, t)
	v.Risk = word(levels, "riskScore", &row.Risk, t)
	v.Sensor = word(healths, "healthStatus", &row.Health, t)
	row.onboarding(&v.Device, t)
	return v, nil
}

const zeroGUID = "00000000-0000-0000-0000-000000000000"

// onboarding says what the sensor's health and a good risk score are worth: of a
// machine that was only seen on the network, nobody watches the risk.
func (row *machineRow) onboarding(d *decision.Device, t tally) {
	watched := word(onboarded, "onboardingStatus", &row.Onboarding, t)
	switch {
	case watched == decision.Yes:
		return
	case watched == decision.No:
		d.Sensor = decision.SensorNotOnboarded
	case row.Onboarding.wrong || row.Onboarding.value != "":
		d.Sensor = decision.SensorUnknown // a word that nobody knows yet
	default:
		return // null: the health alone tells
	}
	if d.Risk == decision.LevelNone {
		d.Risk = decision.LevelUnknown
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
