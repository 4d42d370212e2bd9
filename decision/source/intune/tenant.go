package intune

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// tenant is what the tenant's own settings say about every device.
type tenant struct {
	// checkIn is the compliance status validity period.
	checkIn time.Duration
	// secureByDefault is No if a device without a policy counts as compliant.
	secureByDefault decision.Tri
	// settingsAt is when these two were read; zero: never.
	settingsAt time.Time
	// recalled is true while they are those that an earlier process read.
	recalled bool
	// silent are the platforms with a threat defense connector that does not
	// respond; the unknown platform stands for any.
	silent [decision.NumPlatforms]bool
	// deaf are the platforms for which no connector is switched on, as the list of
	// connectors says; the unknown platform stands for all. Without a list none is.
	deaf [decision.NumPlatforms]bool
	// connectorsAt is when connectors were asked for, and heardAt when they were read.
	connectorsAt, heardAt time.Time
	// heard is true while what was read of the connectors is young enough to tell
	// whether anybody reports levels.
	heard bool
}

// connectorPlatforms are those that a threat defense connector can be for.
var connectorPlatforms = []decision.Platform{decision.Android, decision.IOS, decision.Windows, decision.MacOS}

func (t *tenant) silentByPlatform() map[string]bool {
	all := map[string]bool{}
	for _, p := range connectorPlatforms {
		all[p.String()] = t.silent[p]
	}
	return all
}

func (t *tenant) silentNames() []string {
	var names []string
	for p := decision.PlatformUnknown + 1; p < decision.NumPlatforms; p++ {
		if t.silent[p] {
			names = append(names, p.String())
		}
	}
	return names
}

// judge takes back what a record says better than the tenant's settings allow.
func (t *tenant) judge(v *decision.Verdict, now time.Time) {
	// A verdict about a device that stays away is old news, and one about a
	// device that never came is none.
	if good(v.Compliance) && now.Sub(v.LastCheckIn) > t.checkIn {
		v.Compliance, v.GraceUntil = decision.ComplianceNotEvaluated, time.Time{}
	}
	// Intune ignores a partner that is silent for too long, and keeps the level that
	// a partner left behind which is gone. Nobody says which partner a level came
	// from. So it is only the least that it can be, and so is every level while it is
	// unknown whether the partners speak.
	if v.Sensor != decision.SensorActive {
		return
	}
	switch {
	case !t.heard:
		v.Sensor = decision.SensorUnknown
	case t.silent[v.Platform]:
		v.Sensor = decision.SensorUnresponsive
	case t.deaf[v.Platform]:
		v.Sensor = decision.SensorDeactivated
	default:
		return
	}
	v.RiskFloor = v.Risk != decision.LevelUnknown
}

// readSettings reads the tenant's compliance settings, for a complete listing. Without
// them the last known ones count, also those of an earlier process (see doubt), and at
// first the service's own defaults.
func (s *Source) readSettings(ctx context.Context, now time.Time) {
	t, err := s.settings(ctx)
	if err != nil {
		s.refused("settings", err)
		s.mu.Lock()
		s.tenant.doubt(now)
		s.mu.Unlock()
		return
	}
	s.once("settings", nil)
	s.nameTenant(ctx)
	s.mu.Lock()
	s.tenant.checkIn, s.tenant.secureByDefault = t.checkIn, t.secureByDefault
	s.tenant.settingsAt, s.tenant.recalled = now, false
	s.mu.Unlock()
}

// settings asks for the tenant's compliance settings.
func (s *Source) settings(ctx context.Context) (tenant, error) {
	a, err := s.o.Client.Do(ctx, msgraph.Request{
		Endpoint: msgraph.IntuneConfig, Path: "/v1.0/deviceManagement",
		Query: url.Values{"$select": {"settings"}}, Priority: "Low",
	})
	if err != nil {
		return tenant{}, err
	}
	return parseSettings(a.Body)
}

func parseSettings(body []byte) (t tenant, err error) {
	var wire struct {
		Settings *struct {
			SecureByDefault flag `json:"secureByDefault"`
			CheckinDays     int  `json:"deviceComplianceCheckinThresholdDays"`
		} `json:"settings"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Settings == nil {
		return t, errors.New("answer has no readable compliance settings")
	}
	t = tenant{checkIn: defaultCheckIn, secureByDefault: wire.Settings.SecureByDefault.is}
	if d := wire.Settings.CheckinDays; d >= 1 && d <= maxCheckInDays {
		t.checkIn = time.Duration(d) * 24 * time.Hour
	}
	return t, nil
}

// kindOf tells what a failed call means.
func kindOf(err error) msgraph.Kind {
	var e *msgraph.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return msgraph.KindUnavailable
}
