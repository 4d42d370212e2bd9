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

// readSettings reads the tenant's compliance settings. Without them the last
// known ones count, and at first the service's own defaults.
func (s *Source) readSettings(ctx context.Context) {
	t, err := s.settings(ctx)
	if err != nil {
		s.refused("settings", err)
		return
	}
	s.once("settings", nil)
	s.mu.Lock()
	s.tenant.checkIn, s.tenant.secureByDefault = t.checkIn, t.secureByDefault
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
	if d := wire.Settings.CheckinDays; d >= 1 && d <= 365 {
		t.checkIn = time.Duration(d) * 24 * time.Hour
	}
	return t, nil
}

// connector is a Graph mobileThreatDefenseConnector.
type connector struct {
	ID        text `json:"id"`
	State     text `json:"partnerState"`
	Heartbeat text `json:"lastHeartbeatDateTime"`
	Days      days `json:"partnerUnresponsivenessThresholdInDays"`
	Android   flag `json:"androidEnabled"`
	IOS       flag `json:"iosEnabled"`
	Windows   flag `json:"windowsEnabled"`
	Mac       flag `json:"macEnabled"`
}

// silent reports whether the partner stopped talking to Intune.
func (c *connector) silent(d *decoder) bool {
	switch fold(c.State.s) {
	case "unresponsive":
		return true
	case "enabled":
		at, ok := d.date("lastHeartbeatDateTime", c.Heartbeat)
		if at.After(d.now.Add(futureLimit)) {
			d.odd("lastHeartbeatDateTime", "in the future")
			ok = false
		}
		if c.Days.wrong {
			d.odd("partnerUnresponsivenessThresholdInDays", "wrong type")
			return true // only this partner: nobody knows how long it may be silent
		}
		return !ok || !at.IsZero() && c.Days.n > 0 && d.now.Sub(at) > time.Duration(c.Days.n)*24*time.Hour
	}
	return false
}

// partnerWords say whether a connector in a state (Graph
// mobileThreatPartnerTenantState) may bring levels.
var partnerWords = map[string]decision.Tri{
	"enabled": decision.Yes, "unresponsive": decision.Yes,
	"unavailable": decision.No, "available": decision.No, "notsetup": decision.No, "error": decision.No,
}

// connectorStates is what the list of connectors says about each platform.
type connectorStates struct {
	silent, on, alive [decision.NumPlatforms]bool
}

// add reads one connector. Only one that is enabled, or was until it fell silent,
// brings levels; one without a word about a platform may bring them for it.
func (s *connectorStates) add(d *decoder, raw []byte) error {
	var c connector
	if err := json.Unmarshal(raw, &c); err != nil {
		return errors.New("connector cannot be read")
	}
	if word(d, partnerWords, "partnerState", c.State) != decision.Yes {
		return nil
	}
	silent := c.silent(d)
	for p := range decision.NumPlatforms {
		var serves flag
		switch p {
		case decision.Android:
			serves = c.Android
		case decision.IOS:
			serves = c.IOS
		case decision.Windows:
			serves = c.Windows
		case decision.MacOS:
			serves = c.Mac
		case decision.PlatformUnknown, decision.Linux, decision.ChromeOS, decision.NumPlatforms:
		}
		s.on[p] = s.on[p] || serves.is != decision.No
		if !silent {
			s.alive[p] = s.alive[p] || serves.is != decision.No && !serves.wrong
			continue
		}
		s.silent[p] = s.silent[p] || serves.is == decision.Yes
		s.silent[decision.PlatformUnknown] = s.silent[decision.PlatformUnknown] || serves.is == decision.Yes
	}
	return nil
}

// done says which platforms nobody serves (deaf), and for which one of those that do
// fell silent, or all that may.
func (s *connectorStates) done() (silent, deaf [decision.NumPlatforms]bool) {
	for p := range s.on {
		silent[p] = s.silent[p] || s.on[p] && !s.alive[p]
		deaf[p] = !s.on[p]
	}
	return silent, deaf
}

func connectorsRequest() msgraph.Request {
	return msgraph.Request{Endpoint: msgraph.IntuneConfig, Path: "/v1.0/deviceManagement/mobileThreatDefenseConnectors", Priority: "Low"}
}

// readConnectors reads the threat defense connectors every 15 minutes, or with every
// complete listing where that is more often. If a connector is switched, falls silent or
// speaks again, or it becomes unclear whether they do, every device must be read anew.
func (s *Source) readConnectors(ctx context.Context, d *decoder) {
	now := d.now
	s.mu.Lock()
	age := now.Sub(s.tenant.connectorsAt)
	s.askedConnectors = true
	s.mu.Unlock()
	if age >= 0 && age < min(connectorsAge, s.o.FullSweep) {
		return
	}
	var states connectorStates
	_, err := s.o.Client.Pages(ctx, connectorsRequest(), func(raw json.RawMessage) error { return states.add(d, raw) })
	if err != nil {
		s.refused("connectors", err)
	} else {
		s.once("connectors", nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.tenant
	t := &s.tenant
	if err == nil {
		t.silent, t.deaf = states.done()
		t.heardAt = now
	}
	if err == nil || kindOf(err) == msgraph.KindPermission {
		t.connectorsAt = now // after any other error the next poll tries again
	}
	heardFor := now.Sub(t.heardAt)
	t.heard = !t.heardAt.IsZero() && heardFor >= 0 && heardFor < connectorsTrust
	if t.silent != before.silent || t.deaf != before.deaf || t.heard != before.heard {
		s.pagedDue = s.pagedDue || !s.lastFull.IsZero()
	}
}

// firstConnectors reads the connectors for the first look-up, if that comes before the
// first listing: without them no risk level meets a limit.
func (s *Source) firstConnectors(ctx context.Context, d *decoder) {
	s.mu.Lock()
	asked := s.askedConnectors
	s.askedConnectors = true
	s.mu.Unlock()
	if asked {
		return
	}
	half, cancel := background(ctx) // the device is the question
	defer cancel()
	s.readConnectors(half, d)
}

// kindOf tells what a failed call means.
func kindOf(err error) msgraph.Kind {
	var e *msgraph.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return msgraph.KindUnavailable
}
