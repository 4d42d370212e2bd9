package caddymodule

import (
	"errors"
	"net/url"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/caddymodule/pages"
	"github.com/gatehouse-project/gatehouse/decision"
)

// Portal is where people look after the devices that a source's system manages.
type Portal struct {
	// Name is what people know it by, such as Self Service.
	Name string `json:"name"`
	// URL is an https address; "" if it is an app alone.
	URL string `json:"url,omitempty"`
}

// parsePortal reads NAME [URL].
func parsePortal(d *caddyfile.Dispenser, to **Portal) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err(`portal takes a name and, if it has one, an address: portal "Self Service" https://mdm.corp.example`)
	}
	p := &Portal{Name: args[0]}
	if len(args) == 2 {
		p.URL = args[1]
	}
	err := p.check()
	if err != nil {
		return d.Err(err.Error())
	}
	*to = p
	return nil
}

func (p *Portal) check() error {
	if p == nil {
		return nil
	}
	if p.Name == "" || utf8.RuneCountInString(p.Name) > 64 || decision.DisplayText(p.Name) != p.Name {
		return errors.New("portal: the name must be plain text of 1 to 64 characters")
	}
	if p.URL == "" {
		return nil
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(p.URL) > 2048 {
		return errors.New("portal: the address must be an https URL without a user")
	}
	return nil
}

// companyPortal is the website of Intune's Company Portal in the public cloud. The
// other clouds have sites of their own: there the app is named without a link.
const companyPortal = "https://portal.manage.microsoft.com/"

// portalOf is where people look after the devices of a source's own system, which is
// the system that manager names. Without a name it has that of the system.
func (a *App) portalOf(sm SourceModule) (manager decision.Manager, p Portal) {
	switch s := sm.(type) {
	case *HTTPJSONSource:
		if s.Portal != nil {
			return decision.ManagerPartner, *s.Portal
		}
	case *IntuneSource:
		for _, m := range a.Microsoft {
			if (s.Tenant == "" || s.Tenant == m.name()) && (m.Cloud == "" || m.Cloud == "public") {
				return decision.ManagerIntune, Portal{URL: companyPortal}
			}
		}
	}
	return decision.ManagerUnknown, Portal{}
}

// management says who manages a device, and where the link of its portal leads. It
// tells what the sources say, and nothing if they say nothing.
func (a *App) management(p *decision.Posture) (m decision.Management, link string) {
	if p == nil {
		return m, ""
	}
	manager, from := p.Manager()
	m.Manager = manager
	if manager == decision.ManagerUnknown {
		return m, ""
	}
	for _, s := range a.sources {
		if s.runner.Name() == from && s.manager == manager {
			return decision.Management{Manager: manager, App: s.portal.Name}, s.portal.URL
		}
	}
	return m, ""
}

// problemManagement is who manages the device, in a problem document.
type problemManagement struct {
	// System is intune, configmgr or partner.
	System string `json:"system"`
	// App is the app or portal where people look after the device.
	App         string `json:"app,omitempty"`
	URL         string `json:"url,omitempty"`
	Message     string `json:"message"`
	Instruction string `json:"instruction"`
}

// problemManagementOf is nil unless the device is at fault and its manager known: who
// is refused for another reason learns nothing of it.
func problemManagementOf(m decision.Management, link string, d *decision.Decision, lang string, platform decision.Platform) *problemManagement {
	if d.Outcome != decision.Block || m.Manager == decision.ManagerUnknown {
		return nil
	}
	for i := range d.Findings {
		if pages.AboutDevice(d.Findings[i].Reason) {
			t := m.Text(lang, platform)
			return &problemManagement{
				System: m.Manager.String(), App: m.AppName(lang, platform), URL: link, Message: t.Message, Instruction: t.Remediation,
			}
		}
	}
	return nil
}
