package defender

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// open are the states of an alert that somebody still has to look at.
var open = []string{"New", "InProgress"}

// alertRow is one alert of /api/alerts, as far as it matters.
type alertRow struct {
	ID        text `json:"id"`
	MachineID text `json:"machineId"`
	Severity  text `json:"severity"`
	Status    text `json:"status"`
}

// alert is one alert that counts.
type alert struct {
	machine decision.Key
	worst
}

// worst is what the open alerts of a machine say together. The zero value says
// nothing.
type worst struct {
	severity   decision.Level // LevelLow or higher, if any says so
	unreadable bool           // one has a severity that cannot be read
}

// says reports whether anything counts.
func (w worst) says() bool { return w.unreadable || w.severity >= decision.LevelLow }

func (w worst) and(o worst) worst {
	return worst{max(w.severity, o.severity), w.unreadable || o.unreadable}
}

// decodeAlert reads one alert; id is "" if the row cannot be told from others.
// The severity of an alert that is closed, or about no machine, is unknown.
func decodeAlert(raw []byte, t tally) (id string, a alert) {
	var row alertRow
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &row) != nil {
		t.problem("alert", noObject)
		return "", a
	}
	severity, readable := word(severities, "severity", &row.Severity, t)
	w := worst{severity, !readable}
	if closed, _ := word(closings, "status", &row.Status, t); closed == decision.Yes || !w.says() {
		return row.ID.value, a
	}
	id = row.MachineID.read("machineId", t)
	machine, ok := machineKey(id)
	if !ok {
		if id != "" { // else about a mailbox or an app
			t.problem("machineId", badID)
		}
		return row.ID.value, a
	}
	return row.ID.value, alert{machine, w}
}

// The spellings of enumerations, in lower case.
var (
	severities = map[string]decision.Level{
		"unspecified": decision.LevelNone, "informational": decision.LevelNone,
		"low": decision.LevelLow, "medium": decision.LevelMedium, "high": decision.LevelHigh,
	}
	closings = map[string]decision.Tri{
		"resolved": decision.Yes, "new": decision.No, "inprogress": decision.No, "unknown": decision.No,
	}
)

// readAlerts brings the highest severity of the open alerts of each machine up to
// date.
func (s *Source) readAlerts(ctx context.Context, p *pass) error {
	found := map[string]worst{}
	err := s.either(ctx, msgraph.DefenderAlerts, alertsPath, "status", open, func(raw json.RawMessage) string {
		id, a := decodeAlert(raw, p.tally)
		if a.says() {
			found[a.machine.Value] = found[a.machine.Value].and(a.worst)
		}
		return id
	})
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !maps.Equal(found, s.alerts) {
		s.alerts, s.dirty = found, true
	}
	return nil
}

// alertsOf asks what the open alerts of one machine say.
func (s *Source) alertsOf(ctx context.Context, own decision.Key) (found worst, err error) {
	t := tally{}
	defer func() { s.count(t) }()
	_, err = s.o.Client.Pages(ctx, msgraph.Request{
		Endpoint: msgraph.DefenderAlerts, Path: machinesPath + "/" + url.PathEscape(own.Value) + "/alerts",
		Priority: "High",
	}, func(raw json.RawMessage) error {
		_, a := decodeAlert(raw, t)
		if a.machine == own {
			found = found.and(a.worst)
		}
		return nil
	})
	if err != nil && !none(err) {
		return found, fmt.Errorf("alerts: %w", err)
	}
	return found, nil
}

// raise makes the risk the worse of the score and the severity of an alert, which
// counts from low on. An alert says only the least that an unknown risk can be, and
// a known one is the least that it can be beside an alert that cannot be read.
func raise(d *decision.Device, by worst) {
	if by.severity >= decision.LevelLow {
		d.RiskFloor = d.RiskFloor || d.Risk == decision.LevelUnknown
		d.Risk = max(d.Risk, by.severity)
	}
	if by.unreadable { // others' good news must not stand in for it, whatever else is known
		d.RiskFloor = d.RiskFloor || d.Risk != decision.LevelUnknown
		d.Unreadable |= decision.Facts(decision.FactRisk)
	}
}
