package identity

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// issuerCloud holds the hosts of one Microsoft cloud.
type issuerCloud struct{ login, sts string }

var issuerClouds = map[string]issuerCloud{
	"":           {"https://login.microsoftonline.com", "https://sts.windows.net"},
	"public":     {"https://login.microsoftonline.com", "https://sts.windows.net"},
	"us_gov":     {"https://login.microsoftonline.us", "https://sts.windows.net"},
	"us_gov_dod": {"https://login.microsoftonline.us", "https://sts.windows.net"},
	"china":      {"https://login.partner.microsoftonline.cn", "https://sts.chinacloudapi.cn"},
}

// entraPreset fills in what follows from the tenant: the iss of both token
// versions and the address of the keys. Which version an API gets is a setting
// of its own manifest, not of the client, so both are accepted. It also returns
// what a key's own issuer member may say: this tenant, or the template that
// stands for every company tenant.
func (is *issuer) entraPreset(o *IssuerOptions) (keysURL string, keyIssuers []string, err error) {
	if o.URL != "" {
		return "", nil, errors.New("URL: follows from the tenant")
	}
	tenant, ok := decision.CanonicalKey(decision.KindEntra, o.Tenant)
	if !ok {
		return "", nil, errors.New("tenant: not a tenant's GUID (common, organizations and names are refused)")
	}
	is.tenant = tenant.Value
	cloud, ok := issuerClouds[o.Cloud]
	if !ok {
		return "", nil, fmt.Errorf("cloud %.20q: not public, us_gov, us_gov_dod or china", o.Cloud)
	}
	if o.LoginURL != "" {
		cloud.login = o.LoginURL
	}
	if o.STSURL != "" {
		cloud.sts = o.STSURL
	}
	for _, host := range []string{cloud.login, cloud.sts} {
		if err := issuerCheckURL(host); err != nil {
			return "", nil, fmt.Errorf("cloud host: %w", err)
		}
		if strings.HasSuffix(host, "/") || strings.ContainsAny(host, "|{}?") {
			return "", nil, errors.New("cloud host: ends in a slash, or has a query or one of | { }")
		}
	}
	v1 := cloud.sts + "/" + is.tenant + "/"
	v2 := cloud.login + "/" + is.tenant + "/v2.0"
	is.urls = []string{v2, v1}
	keyIssuers = []string{v2, v1, cloud.login + "/{tenantid}/v2.0", cloud.sts + "/{tenantid}/"}
	if keysURL = o.JWKSURL; keysURL == "" && o.JWKSFile == "" {
		keysURL = cloud.login + "/" + is.tenant + "/discovery/v2.0/keys"
	}
	return keysURL, keyIssuers, nil
}
