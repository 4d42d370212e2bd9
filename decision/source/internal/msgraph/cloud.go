package msgraph

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Cloud names the services of one national cloud. Every value is an https URL
// without query. Empty fields are those of the cloud that Name says; without a
// Name those of the public cloud.
type Cloud struct {
	Name      string // public, us_gov, us_gov_dod or china
	Authority string // where tokens come from
	Graph     string // Microsoft Graph, without a version
	Defender  string // Defender for Endpoint, without /api; empty: the cloud has none
	// DefenderAudience is the resource that a Defender token is for. It keeps
	// the service's old name.
	DefenderAudience string
	// Intune is the resource of the compliance retrieval service. It ends in a
	// slash, which is why the scope of a token has two of them.
	Intune string
}

// clouds are the hosts per cloud. The Defender and Intune names outside of the
// public cloud are published less firmly: operators can override each.
var clouds = []Cloud{
	{
		Name: "public", Authority: "https://login.microsoftonline.com", Graph: "https://graph.microsoft.com",
		Defender: "https://api.security.microsoft.com", DefenderAudience: "https://api.securitycenter.microsoft.com",
		Intune: "https://api.manage.microsoft.com/",
	},
	{
		Name: "us_gov", Authority: "https://login.microsoftonline.us", Graph: "https://graph.microsoft.us",
		Defender: "https://api-gov.securitycenter.microsoft.us", DefenderAudience: "https://api-gov.securitycenter.microsoft.us",
		Intune: "https://api.manage.microsoft.us/",
	},
	{
		Name: "us_gov_dod", Authority: "https://login.microsoftonline.us", Graph: "https://dod-graph.microsoft.us",
		Defender: "https://api-gov.securitycenter.microsoft.us", DefenderAudience: "https://api-gov.securitycenter.microsoft.us",
		Intune: "https://api.manage.microsoft.us/",
	},
	{
		Name: "china", Authority: "https://login.partner.microsoftonline.cn", Graph: "https://microsoftgraph.chinacloudapi.cn",
		Intune: "https://api.manage.microsoftonline.cn/",
	},
}

// ParseCloud finds a cloud by its name.
func ParseCloud(name string) (Cloud, bool) {
	for _, c := range clouds {
		if c.Name == name {
			return c, true
		}
	}
	return Cloud{}, false
}

// CloudNames lists the names that [ParseCloud] knows.
func CloudNames() []string {
	names := make([]string, len(clouds))
	for i, c := range clouds {
		names[i] = c.Name
	}
	return names
}

// complete fills what is empty and checks every URL.
func (c Cloud) complete() (Cloud, error) {
	base, ok := ParseCloud(cmp.Or(c.Name, "public"))
	if !ok {
		return c, fmt.Errorf("unknown cloud %q: it is one of %s", c.Name, strings.Join(CloudNames(), ", "))
	}
	c.Name = base.Name
	for _, f := range []struct {
		name  string
		value *string
		from  string
	}{
		{"authority", &c.Authority, base.Authority},
		{"graph", &c.Graph, base.Graph},
		{"defender", &c.Defender, base.Defender},
		{"defender audience", &c.DefenderAudience, cmp.Or(base.DefenderAudience, clouds[0].DefenderAudience)},
		{"intune", &c.Intune, base.Intune},
	} {
		*f.value = cmp.Or(*f.value, f.from)
		if *f.value == "" {
			continue
		}
		if _, err := parseBase(*f.value); err != nil {
			return c, fmt.Errorf("%s URL: %w", f.name, err)
		}
	}
	return c, nil
}

var errNotBase = errors.New("want https://host without user, query or fragment")

// parseBase reads the URL of a service. A path is allowed, for a service behind
// a relay.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errNotBase // the parser's own text would repeat a password
	}
	if u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" {
		return nil, errNotBase
	}
	return u, nil
}

// knownAuthorities are the sign-in hosts whose cloud the token library knows.
// Any other one, such as a private cloud's, is used without asking Microsoft
// about it.
var knownAuthorities = []string{
	"login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "login.microsoftonline.us",
	"login.partner.microsoftonline.cn", "login.chinacloudapi.cn",
	"login.sovcloud-identity.fr", "login.sovcloud-identity.de", "login.sovcloud-identity.sg",
}

func knownAuthority(host string) bool {
	return slices.Contains(knownAuthorities, strings.ToLower(host))
}
