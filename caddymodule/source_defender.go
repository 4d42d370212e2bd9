package caddymodule

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/defender"
)

func init() {
	caddy.RegisterModule((*DefenderSource)(nil))
}

// DefenderSource reads the machines of Microsoft Defender for Endpoint: risk,
// exposure and the state of the sensor. It says nothing about whether a device
// exists. Needs the application permission Machine.Read.All of WindowsDefenderATP,
// and Alert.Read.All for alerts.
type DefenderSource struct {
	tenantGuest
	// FullSweep is the time between two complete listings; default 1 h.
	FullSweep caddy.Duration `json:"full_sweep,omitempty"`
	// Alerts lets open alerts raise the risk; default off.
	Alerts *bool `json:"alerts,omitempty"`
}

// defenderPoll keeps polls within the 1,500 calls an hour of the service.
const (
	defenderPoll      = 2 * time.Minute
	leastDefenderPoll = 10 * time.Second
)

// Look-ups come from people who ask again: at most 20 at once, then one a second. That
// is what our 80 % of the 100 calls a minute that the service allows bear at their
// best. What they bear beside the polls, and how much of the 1,500 calls an hour is
// for look-ups, the client's budget decides. A look-up costs one call, with alerts two.
const (
	defenderLookups = 1
	defenderBurst   = 20
)

// CaddyModule returns the module's registration.
func (*DefenderSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "compliance.sources.defender", New: func() caddy.Module { return new(DefenderSource) }}
}

// UnmarshalCaddyfile reads
//
//	source defender {
//	    name NAME
//	    tenant NAME
//	    poll 2m
//	    full_sweep 1h
//	    alerts on|off
//	    guards off
//	    guard_bad_rows 1% 5
//	    guard_changes 20% 20
//	}
func (s *DefenderSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	words := s.words(d, leastDefenderPoll)
	words["full_sweep"] = func(string) error { return duration(d, &s.FullSweep) }
	words["alerts"] = switchWord(d, &s.Alerts)
	return block(d, "source defender", words)
}

// SourceName is the configured name.
func (s *DefenderSource) SourceName() string { return s.nameOr("defender") }

// NewSource makes the source. Nothing is asked yet.
func (s *DefenderSource) NewSource(ctx caddy.Context) (source.Source, source.RunnerOptions, error) {
	o := s.runner(decision.AuthorityManagement, defenderPoll)
	o.SyncTimeout, o.LookupRate, o.MaxLookups = firstSweep, defenderLookups, defenderBurst
	err := s.check(leastDefenderPoll)
	if err != nil {
		return nil, o, err
	}
	src, err := defender.New(defender.Options{
		Client: s.client, FullSweep: time.Duration(s.FullSweep), Alerts: isOn(s.Alerts, false), Logger: sourceLogger(ctx),
	})
	return src, o, err
}

var (
	_ caddyfile.Unmarshaler = (*DefenderSource)(nil)
	_ SourcePlacer          = (*DefenderSource)(nil)
	_ TenantSource          = (*DefenderSource)(nil)
)
