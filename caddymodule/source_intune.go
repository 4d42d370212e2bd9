package caddymodule

import (
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/intune"
)

func init() {
	caddy.RegisterModule((*IntuneSource)(nil))
}

// IntuneSource reads the managed devices of a Microsoft Intune tenant, with their
// compliance. Needs the application permissions
// DeviceManagementManagedDevices.Read.All, for reasons and the tenant's settings
// DeviceManagementConfiguration.Read.All, and for threat-defence connectors, without
// which a risk level counts as bad news only, DeviceManagementServiceConfig.Read.All.
// RemoteSync needs
// DeviceManagementManagedDevices.PrivilegedOperations.All too.
type IntuneSource struct {
	tenantGuest
	// FullSweep is the time between two complete listings; default 1 h.
	FullSweep caddy.Duration `json:"full_sweep,omitempty"`
	// Reasons fetches what a noncompliant device fails; default on.
	Reasons *bool `json:"reasons,omitempty"`
	// RequirePolicy takes "compliant" for not evaluated where no compliance policy
	// is assigned and the tenant counts such devices as compliant.
	RequirePolicy bool `json:"require_policy,omitempty"`
	// RemoteSync has Intune tell a device to check in when its person asks for a
	// re-check, at most once in 5 minutes; default off.
	RemoteSync *bool `json:"remote_sync,omitempty"`
	// WindowsProtection reads whether the antivirus of a Windows computer works and
	// what it found: the facts antivirus and malware. Default off: it costs a call
	// for each computer and check-in.
	WindowsProtection *bool `json:"windows_protection,omitempty"`
	// HealthAttestation reads what a Windows computer measured when it started: the
	// fact secure_boot, and BitLocker. Default off, for the same reason.
	HealthAttestation *bool `json:"health_attestation,omitempty"`
	// AndroidPatchWithin takes an Android device for updated if its security patch
	// level is not older. Default: Intune says nothing about updates.
	AndroidPatchWithin caddy.Duration `json:"android_patch_within,omitempty"`
}

// The pace of the sources that read a Microsoft tenant.
const (
	intunePoll = 5 * time.Minute
	entraPoll  = time.Minute
	leastPoll  = time.Second      // the budgets per published limit keep a hasty poll in check
	firstSweep = 30 * time.Minute // of a very large tenant, page by page
)

// CaddyModule returns the module's registration.
func (*IntuneSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "compliance.sources.intune", New: func() caddy.Module { return new(IntuneSource) }}
}

// UnmarshalCaddyfile reads
//
//	source intune {
//	    name NAME
//	    tenant NAME
//	    poll 5m
//	    full_sweep 1h
//	    reasons on|off
//	    require_policy
//	    remote_sync on|off
//	    windows_protection on|off
//	    health_attestation on|off
//	    android_patch_within 90d
//	    guards off
//	    guard_bad_rows 1% 5
//	    guard_changes 20% 20
//	}
func (s *IntuneSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	words := s.words(d, leastPoll)
	words["full_sweep"] = func(string) error { return duration(d, &s.FullSweep) }
	words["reasons"] = switchWord(d, &s.Reasons)
	words["require_policy"] = func(string) error { s.RequirePolicy = true; return nothingMore(d) }
	words["remote_sync"] = switchWord(d, &s.RemoteSync)
	words["windows_protection"] = switchWord(d, &s.WindowsProtection)
	words["health_attestation"] = switchWord(d, &s.HealthAttestation)
	words["android_patch_within"] = func(string) error {
		err := duration(d, &s.AndroidPatchWithin)
		if err == nil {
			err = s.checkPatch()
			if err != nil {
				err = d.Err(err.Error())
			}
		}
		return err
	}
	return block(d, "source intune", words)
}

// SourceName is the configured name.
func (s *IntuneSource) SourceName() string { return s.nameOr("intune") }

// NewSource makes the source. Nothing is asked yet.
func (s *IntuneSource) NewSource(ctx caddy.Context) (source.Source, source.RunnerOptions, error) {
	o := s.runner(decision.AuthorityManagement, intunePoll)
	o.Authoritative, o.AskUnknown, o.SyncTimeout, o.Enrols = true, true, firstSweep, true
	o.CheckIns = isOn(s.RemoteSync, false)
	err := s.check(leastPoll)
	if err == nil {
		err = s.checkPatch()
	}
	if err != nil {
		return nil, o, err
	}
	src, err := intune.New(intune.Options{
		Client: s.client, FullSweep: time.Duration(s.FullSweep), Reasons: isOn(s.Reasons, true), StrictDefault: s.RequirePolicy,
		Protection: isOn(s.WindowsProtection, false), Attestation: isOn(s.HealthAttestation, false),
		PatchWithin: time.Duration(s.AndroidPatchWithin), Logger: sourceLogger(ctx),
	})
	return src, o, err
}

// leastPatch is the time between two patch levels.
const leastPatch = 30 * 24 * time.Hour

// checkPatch finds a slip of the unit.
func (s *IntuneSource) checkPatch() error {
	if d := time.Duration(s.AndroidPatchWithin); d != 0 && d < leastPatch {
		return errors.New("android_patch_within is below 30d: patch levels are dated by the month")
	}
	return nil
}

var (
	_ caddyfile.Unmarshaler = (*IntuneSource)(nil)
	_ SourcePlacer          = (*IntuneSource)(nil)
	_ TenantSource          = (*IntuneSource)(nil)
)
