package intune

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

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
