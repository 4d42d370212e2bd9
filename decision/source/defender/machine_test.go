package defender

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestDecodeMachine(t *testing.T) {
	good := `"onboardingStatus":"onboarded","healthStatus":"Active"`
	type facts struct {
		risk, exposure decision.Level
		sensor         decision.Sensor
		floor          bool // of the risk
		unreadable     decision.FactSet
	}
	unread := decision.Facts
	const risk, exposed, health = decision.FactRisk, decision.FactExposure, decision.FactSensor
	const unknown, none, low, medium, high = decision.LevelUnknown, decision.LevelNone, decision.LevelLow, decision.LevelMedium, decision.LevelHigh
	const active, off = decision.SensorActive, decision.SensorNotOnboarded
	for _, tt := range []struct {
		members  string
		want     facts
		problems []string
	}{
		{good + `,"riskScore":"None","exposureLevel":"None"`, facts{risk: none, exposure: none, sensor: active}, nil},
		{good + `,"riskScore":"Informational","exposureLevel":"Low"`, facts{risk: none, exposure: low, sensor: active}, nil},
		{good + `,"riskScore":"Low","exposureLevel":"Medium"`, facts{risk: low, exposure: medium, sensor: active}, nil},
		{good + `,"riskScore":"Medium","exposureLevel":"High"`, facts{risk: medium, exposure: high, sensor: active}, nil},
		{good + `,"riskScore":"HIGH","exposureLevel":null`, facts{risk: high, sensor: active}, nil},
		{good + `,"riskScore":null`, facts{sensor: active}, nil},
		{good + `,"riskScore":"Extreme"`, facts{sensor: active, unreadable: unread(risk)}, []string{"riskScore: unknown value"}},
		{good + `,"riskScore":3,"exposureLevel":{}`, facts{sensor: active, unreadable: unread(risk, exposed)}, []string{"riskScore: wrong type", "exposureLevel: wrong type"}},
		{good + `,"riskScore":"High","RISKSCORE":"None"`, facts{sensor: active, unreadable: unread(risk)}, []string{"riskScore: wrong type"}},
		{`"onboardingStatus":"onboarded","healthStatus":"Inactive"`, facts{sensor: decision.SensorInactive}, nil},
		{`"onboardingStatus":"Onboarded","healthStatus":"ImpairedCommunication"`, facts{sensor: decision.SensorImpaired}, nil},
		{`"healthStatus":"NoSensorData"`, facts{sensor: decision.SensorNoData}, nil},
		{`"healthStatus":"NoSensorDataImpairedCommunication"`, facts{sensor: decision.SensorNoData}, nil},
		{`"healthStatus":"Unknown"`, facts{}, nil},
		{`"healthStatus":"Hibernating"`, facts{unreadable: unread(health)}, []string{"healthStatus: unknown value"}},
		{`"onboardingstatus":"CanBeOnboarded","healthStatus":"Active","riskScore":"None"`, facts{sensor: off, risk: none, floor: true}, nil},
		{`"onboardingStatus":"Unsupported","riskScore":"Medium"`, facts{risk: medium, sensor: off, floor: true}, nil},
		{`"onboardingStatus":"InsufficientInfo"`, facts{sensor: off}, nil},
		{`"onboardingStatus":"Perhaps","healthStatus":"Active","riskScore":"None"`, facts{risk: none, floor: true, unreadable: unread(health)}, []string{"onboardingStatus: unknown value"}},
		{`"onboardingStatus":true,"healthStatus":"Active","riskScore":"None"`, facts{risk: none, floor: true, unreadable: unread(health)}, []string{"onboardingStatus: wrong type"}},
		{`"onboardingStatus":null,"healthStatus":"Active","riskScore":"None"`, facts{risk: none, sensor: active}, nil},
	} {
		problems := tally{}
		v, err := decodeMachine([]byte(`{"id":"`+machineID(1)+`",`+tt.members+`}`), noon, problems)
		want := tally{}
		for _, p := range tt.problems {
			want[p]++
		}
		if got := (facts{v.Risk, v.Exposure, v.Sensor, v.RiskFloor, v.Unreadable}); err != nil || got != tt.want || !maps.Equal(problems, want) {
			t.Errorf("%s:\n got %v, %v, %v\nwant %v, %v", tt.members, got, problems, err, tt.want, want)
		}
	}
}

func TestDecodeMachineIDs(t *testing.T) {
	for row, want := range map[string]string{
		`{"id":"` + machineID(10) + `","aadDeviceId":"` + deviceID(10) + `"}`:                                     "defender entra",
		`{"id":"` + strings.ToUpper(machineID(10)) + `","aadDeviceId":"{` + strings.ToUpper(deviceID(10)) + `}"}`: "defender entra",
		`{"id":"` + machineID(10) + `","aadDeviceId":null}`:                                                       "defender",
		`{"id":"` + machineID(10) + `","aadDeviceId":""}`:                                                         "defender",
		`{"id":"` + machineID(10) + `","aadDeviceId":"` + zeroGUID + `"}`:                                         "defender",
		`{"id":"` + machineID(10) + `","aadDeviceId":"laptop"}`:                                                   "defender",
		`{"id":"` + machineID(10) + `","aadDeviceId":7}`:                                                          "defender",
		`{"id":""}`:   "",
		`{"id":null}`: "",
		`{"id":7}`:    "",
		`{}`:          "",
		`[]`:          "",
		`null`:        "",
		``:            "",
		`{"id":"` + machineID(1) + `","id":"` + machineID(2) + `"}`: "",
		`{"id":"lt-1.corp.example.com"}`:                            "",
		`{"id":"a b"}`:                                              "",
		`{"id":"` + strings.Repeat("a", 129) + `"}`:                 "",
	} {
		v, err := decodeMachine([]byte(row), noon, tally{})
		var kinds []string
		for _, k := range v.Keys {
			kinds = append(kinds, k.Kind)
		}
		if got := strings.Join(kinds, " "); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: ids %v, %v, want %q", row, v.Keys, err, want)
		}
		if want == "defender entra" && (v.Keys[0] != machine(10) || v.Keys[1] != device(10)) {
			t.Errorf("%s: ids %v", row, v.Keys)
		}
	}
}

func TestDate(t *testing.T) {
	for in, want := range map[string]struct {
		at      string
		problem string
	}{
		"2026-11-20T21:03:10.552Z":          {at: "2026-11-20T21:03:10Z"},
		"2026-11-20T21:03:10.1234567-08:00": {at: "2026-11-21T05:03:10Z"},
		"0001-01-01T00:00:00Z":              {},
		"9999-12-31T23:59:59Z":              {},
		"":                                  {},
		"1601-01-01T00:00:00Z":              {problem: badDate},
		"yesterday":                         {problem: badDate},
		"2026-11-20":                        {problem: badDate},
		noon.Add(23 * time.Hour).Format(time.RFC3339): {at: "2026-11-22T11:00:00Z"},
		noon.Add(25 * time.Hour).Format(time.RFC3339): {problem: inFuture},
	} {
		problems := tally{}
		got := ""
		if at := date("lastSeen", &text{value: in}, noon, problems); !at.IsZero() {
			got = at.Format(time.RFC3339)
		}
		if got != want.at || (want.problem != "") != (problems["lastSeen: "+want.problem] == 1) {
			t.Errorf("%q: got %q, %v, want %+v", in, got, problems, want)
		}
	}
}

func TestDisplay(t *testing.T) {
	for in, want := range map[string]string{
		"lt-1.example.com": "lt-1.example.com", " a\x00b\n": "ab", "\xff": "", "Gerät": "Gerät",
		strings.Repeat("ä", 200): strings.Repeat("ä", 127),
	} {
		if got := display(in); got != want {
			t.Errorf("display(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestRepeatedRows: what two rows of one listing say about one machine.
func TestRepeatedRows(t *testing.T) {
	first := `{"id":"` + machineID(1) + `","aadDeviceId":"` + deviceID(1) + `","riskScore":"None","exposureLevel":"Low","healthStatus":"Active","lastSeen":"2026-11-20T10:00:00Z"}`
	at := func(risk, hour string) string {
		return `"riskScore":"` + risk + `","exposureLevel":"Low","healthStatus":"Active","lastSeen":"2026-11-20T` + hour
	}
	for name, tt := range map[string]struct {
		old, to string // what the second row has instead
		risk    decision.Level
		sensor  decision.Sensor
		keys    int
		odd     int
	}{
		"the same":               {"{", "{", decision.LevelNone, decision.SensorActive, 2, 0},
		"worse at the same time": {`"None"`, `"High"`, decision.LevelHigh, decision.SensorActive, 2, 1},
		"unknown":                {`"None"`, `null`, decision.LevelUnknown, decision.SensorActive, 2, 1},
		"less exposed":           {`"Low"`, `"None"`, decision.LevelNone, decision.SensorActive, 2, 1},
		"another sensor":         {`"Active"`, `"Inactive"`, decision.LevelNone, decision.SensorUnknown, 2, 1},
		"another device":         {deviceID(1), deviceID(2), decision.LevelNone, decision.SensorActive, 1, 1},
		"seen later":             {at("None", "10"), at("High", "11"), decision.LevelHigh, decision.SensorActive, 2, 0},
		"seen before":            {at("None", "10"), at("High", "09"), decision.LevelNone, decision.SensorActive, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var f fleet
			problems := tally{}
			for _, row := range []string{first, strings.ReplaceAll(first, tt.old, tt.to)} {
				v, err := decodeMachine([]byte(row), noon, problems)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.put(f.repeated(v, problems), noon); err != nil {
					t.Fatal(err)
				}
			}
			v, _ := f.listing.Get(machine(1))
			if v.Risk != tt.risk || v.Sensor != tt.sensor || len(v.Keys) != tt.keys || v.Exposure != decision.LevelLow {
				t.Errorf("%+v", v.Device)
			}
			if problems["machine: rows disagree"] != tt.odd || len(problems) != tt.odd {
				t.Errorf("counts %v, want %d", problems, tt.odd)
			}
		})
	}
}
