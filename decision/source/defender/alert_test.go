package defender

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

func alertOf(n int, severity, status string) string {
	return fmt.Sprintf(`{"id":"da-%d-%s-%s","machineId":%q,"severity":%q,"status":%q}`, n, severity, status, machineID(n), severity, status)
}

func TestDecodeAlert(t *testing.T) {
	const unknown = decision.LevelUnknown
	for in, want := range map[string]bool{
		alertOf(1, "Apocalyptic", "New"):                             true,
		alertOf(1, "Apocalyptic", "Resolved"):                        false,
		alertOf(1, "UnSpecified", "New"):                             false,
		alertOf(1, "Low", "New"):                                     false,
		`{"id":"a","severity":"Apocalyptic"}`:                        false, // of a mailbox
		`{"id":"a","severity":4,"machineId":"` + machineID(1) + `"}`: true,
	} {
		if _, a := decodeAlert([]byte(in), tally{}); a.unreadable != want {
			t.Errorf("%s: unreadable %v, want %v", in, a.unreadable, want)
		}
	}
	for in, want := range map[string]decision.Level{
		alertOf(1, "High", "New"):                decision.LevelHigh,
		alertOf(1, "medium", "inprogress"):       decision.LevelMedium,
		alertOf(1, "Low", "Unknown"):             decision.LevelLow,
		alertOf(1, "Low", "Reopened"):            decision.LevelLow, // not said to be closed
		alertOf(1, "High", "Resolved"):           unknown,
		alertOf(1, "Informational", "New"):       unknown,
		alertOf(1, "UnSpecified", "New"):         unknown,
		alertOf(1, "Apocalyptic", "New"):         unknown,
		`{"id":"a","severity":"High"}`:           unknown,
		`{"id":"a","machineId":"x y"}`:           unknown,
		`[]`:                                     unknown,
		strings.Repeat("[", 20):                  unknown,
		`{"id":7,"machineId":null,"severity":1}`: unknown,
	} {
		if _, a := decodeAlert([]byte(in), tally{}); a.severity != want {
			t.Errorf("%s: severity %v, want %v", in, a.severity, want)
		}
	}
}

func TestRaise(t *testing.T) {
	const unknown, none, low, high = decision.LevelUnknown, decision.LevelNone, decision.LevelLow, decision.LevelHigh
	odd := decision.Facts(decision.FactRisk)
	for _, tt := range []struct {
		score, severity, want decision.Level
		floor                 bool
	}{
		{unknown, unknown, unknown, false},
		{unknown, none, unknown, false},
		{none, unknown, none, false},
		{none, none, none, false},
		{unknown, low, low, true},
		{none, low, low, false},
		{low, high, high, false},
		{high, low, high, false},
		{high, unknown, high, false},
	} {
		d := decision.Device{Risk: tt.score, Unreadable: odd}
		raise(&d, worst{severity: tt.severity})
		if d.Risk != tt.want || d.RiskFloor != tt.floor {
			t.Errorf("%v raised by %v: %v, floor %v; want %v, %v", tt.score, tt.severity, d.Risk, d.RiskFloor, tt.want, tt.floor)
		}
		if d.Unreadable != odd {
			t.Errorf("%v raised by %v: a score that cannot be read is forgotten", tt.score, tt.severity)
		}
		d = decision.Device{Risk: tt.score, RiskFloor: true}
		if raise(&d, worst{severity: tt.severity}); !d.RiskFloor {
			t.Errorf("%v raised by %v is no floor any more", tt.score, tt.severity)
		}
		d = decision.Device{Risk: tt.score}
		raise(&d, worst{severity: tt.severity, unreadable: true})
		if known := tt.want != unknown; d.Risk != tt.want || d.RiskFloor != known || d.Unreadable != odd {
			t.Errorf("%v beside an alert that cannot be read: %+v", tt.score, d)
		}
	}
}

// TestAlertChanges checks that an alert alone is a reason to emit.
func TestAlertChanges(t *testing.T) {
	bubble(t, Options{Alerts: true}, func(t *testing.T, f *fake, s *Source) {
		f.list("", row(1, "None"), row(2, "Medium"))
		f.list("riskScore", row(2, "Medium"))
		if r := riskOf(t, again(t, s), 1); r != decision.LevelNone {
			t.Errorf("risk %v without alerts", r)
		}
		f.list("status", alertOf(1, "Low", "New"), alertOf(1, "High", "New"), alertOf(2, "Low", "New"), `{"id":"mail","severity":"High","status":"New"}`)
		table := again(t, s)
		if a, b := riskOf(t, table, 1), riskOf(t, table, 2); a != decision.LevelHigh || b != decision.LevelMedium {
			t.Errorf("risks %v and %v", a, b)
		}
		if st := s.Stats(); st.Alerted != 2 || st.AtRisk != 1 {
			t.Errorf("stats %+v", st)
		}
		if table := again(t, s); table != nil {
			t.Error("the same alerts are a change")
		}
		f.list("status")
		if r := riskOf(t, again(t, s), 1); r != decision.LevelNone {
			t.Errorf("risk %v after the alerts are closed", r)
		}
	})
}
