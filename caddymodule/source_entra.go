package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/entra"
)

func init() {
	caddy.RegisterModule((*EntraSource)(nil))
}

// EntraSource reads devices and users of a Microsoft Entra ID directory. Needs the
// application permissions Device.Read.All, User.Read.All (users),
// IdentityRiskyUser.Read.All (risky_users, with a P2 licence) and
// GroupMember.Read.All (groups_overage).
type EntraSource struct {
	tenantGuest
	// FullSweep is the time between two complete listings; default 24 h.
	FullSweep caddy.Duration `json:"full_sweep,omitempty"`
	// Users lists the users too; default on.
	Users *bool `json:"users,omitempty"`
	// RiskyUsers reads who is at risk; default on. Where it may not, the fact is
	// not supplied.
	RiskyUsers *bool `json:"risky_users,omitempty"`
	// GroupsOverage looks up the groups of users whose token has too many to list;
	// default off, because it needs a permission more.
	GroupsOverage *bool `json:"groups_overage,omitempty"`
	// PartnerMDM says that devices which are managed and name no management system
	// are in one that is a partner of Intune; default off. Those that name a partner
	// always are.
	PartnerMDM *bool `json:"partner_mdm,omitempty"`
	// PinnedCertificates is "experimental", or empty for off: devices may prove
	// themselves by the certificate that Entra ID gave them at registration.
	PinnedCertificates string `json:"pinned_certificates,omitempty"`
}

// CaddyModule returns the module's registration.
func (*EntraSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "compliance.sources.entra", New: func() caddy.Module { return new(EntraSource) }}
}

// UnmarshalCaddyfile reads
//
//	source entra {
//	    name NAME
//	    tenant NAME
//	    poll 1m
//	    full_sweep 24h
//	    users on|off
//	    risky_users on|off
//	    groups_overage on|off
//	    partner_mdm on|off
//	    pinned_certificates experimental
//	    guards off
//	    guard_bad_rows 1% 5
//	    guard_changes 20% 20
//	}
func (s *EntraSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	words := s.words(d, leastPoll)
	words["full_sweep"] = func(string) error { return duration(d, &s.FullSweep) }
	words["users"] = switchWord(d, &s.Users)
	words["risky_users"] = switchWord(d, &s.RiskyUsers)
	words["groups_overage"] = switchWord(d, &s.GroupsOverage)
	words["partner_mdm"] = switchWord(d, &s.PartnerMDM)
	words["pinned_certificates"] = func(string) error { return choice(d, &s.PinnedCertificates, pinnedExperimental) }
	err := block(d, "source entra", words)
	if err == nil {
		err = s.checkUsers()
		if err != nil {
			err = d.Err(err.Error())
		}
	}
	return err
}

// pinnedExperimental is the only value of pinned_certificates: what it rests on is a
// property that Microsoft marks as for internal use.
const pinnedExperimental = "experimental"

// checkUsers refuses a contradiction: who is at risk is only known of those who are
// listed, and an account that was disabled must not keep its groups.
func (s *EntraSource) checkUsers() error {
	switch {
	case isOn(s.Users, true):
	case isOn(s.RiskyUsers, false):
		return errors.New("risky_users on needs users on")
	case isOn(s.GroupsOverage, false):
		return errors.New("groups_overage on needs users on")
	}
	return nil
}

// groupTenant is the tenant whose users' groups are looked up; "" is none. An
// object id means nothing without its tenant, so a domain will not do.
func (s *EntraSource) groupTenant() (string, error) {
	if !isOn(s.GroupsOverage, false) {
		return "", nil
	}
	tenant := s.client.Tenant()
	if _, ok := decision.CanonicalKey(decision.KindEntra, tenant); !ok {
		return "", fmt.Errorf("groups_overage on needs the tenant's id, a GUID, in the microsoft block; there is %q", tenant)
	}
	return tenant, nil
}

// SourceName is the configured name.
func (s *EntraSource) SourceName() string { return s.nameOr("entra") }

// NewSource makes the source. Nothing is asked yet.
func (s *EntraSource) NewSource(ctx caddy.Context) (source.Source, source.RunnerOptions, error) {
	o := s.runner(decision.AuthorityDirectory, entraPoll)
	o.Authoritative, o.AskUnknown, o.SyncTimeout = true, true, firstSweep
	err := errors.Join(s.check(leastPoll), s.checkUsers())
	if s.PinnedCertificates != "" && s.PinnedCertificates != pinnedExperimental {
		err = errors.Join(err, fmt.Errorf("pinned_certificates is %s or absent, not %q", pinnedExperimental, s.PinnedCertificates))
	}
	if s.PinnedCertificates != "" && o.Poll > maxPinPoll {
		err = errors.Join(err, fmt.Errorf("pinned_certificates needs a poll of at most %s: what the directory says about a certificate counts for %s", maxPinPoll, pinAges.MaxAge))
	}
	if err != nil {
		return nil, o, err
	}
	tenant, err := s.groupTenant()
	if err != nil {
		return nil, o, err
	}
	users := isOn(s.Users, true)
	src, err := entra.New(entra.Options{
		Client: s.client, Users: users, RiskyUsers: users && isOn(s.RiskyUsers, true), FullSweep: time.Duration(s.FullSweep),
		GroupTenant: tenant, PinnedCertificates: s.PinnedCertificates != "", PartnerMDM: isOn(s.PartnerMDM, false), Logger: sourceLogger(ctx),
	})
	return src, o, err
}

var (
	_ caddyfile.Unmarshaler = (*EntraSource)(nil)
	_ SourcePlacer          = (*EntraSource)(nil)
	_ TenantSource          = (*EntraSource)(nil)
)
