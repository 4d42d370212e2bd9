package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/nac"
)

func init() {
	caddy.RegisterModule((*NACSource)(nil))
}

// NACSource asks Intune's compliance retrieval service (NAC 2.0), by the Intune
// device id of a certificate, whether a device is managed and compliant. It cannot
// list devices. Needs the application permissions Application.Read.All of
// Microsoft Graph and get_device_compliance of the Intune API.
type NACSource struct {
	tenantGuest
}

// CaddyModule returns the module's registration.
func (*NACSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "compliance.sources.nac", New: func() caddy.Module { return new(NACSource) }}
}

// UnmarshalCaddyfile reads
//
//	source nac {
//	    name NAME
//	    tenant NAME
//	    poll 5m
//	}
func (s *NACSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	words := s.words(d, leastPoll)
	for word := range words {
		switch word {
		case "name", "tenant", "poll":
		default:
			delete(words, word) // guards are about listings
		}
	}
	return block(d, "source nac", words)
}

// SourceName is the configured name.
func (s *NACSource) SourceName() string { return s.nameOr("nac") }

// NewSource makes the source. Nothing is asked yet.
func (s *NACSource) NewSource(ctx caddy.Context) (source.Source, source.RunnerOptions, error) {
	o := s.runner(decision.AuthorityNAC, intunePoll)
	o.Authoritative = true
	err := s.check(leastPoll)
	if err != nil {
		return nil, o, err
	}
	src, err := nac.New(nac.Options{Client: s.client, Logger: sourceLogger(ctx)})
	return src, o, err
}

var (
	_ caddyfile.Unmarshaler = (*NACSource)(nil)
	_ SourcePlacer          = (*NACSource)(nil)
	_ TenantSource          = (*NACSource)(nil)
)
