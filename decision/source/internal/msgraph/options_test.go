package msgraph

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestOptionsAreChecked(t *testing.T) {
	secret := CredentialOptions{Secret: testSecret}
	tests := map[string]struct {
		o    Options
		want string
	}{
		"no credential":       {Options{Tenant: "corp.example", ClientID: testClient}, "exactly one"},
		"two credentials":     {Options{Tenant: "corp.example", ClientID: testClient, Credential: CredentialOptions{Secret: testSecret, ManagedIdentity: true}}, "exactly one"},
		"no client":           {Options{Tenant: "corp.example", Credential: secret}, "client id"},
		"no tenant":           {Options{ClientID: testClient, Credential: secret}, "tenant is missing"},
		"tenant with a slash": {Options{Tenant: "corp/../x", ClientID: testClient, Credential: secret}, "neither an id"},
		"shared tenant":       {Options{Tenant: "Common", ClientID: testClient, Credential: secret}, "shared"},
		"password alone":      {Options{Tenant: "corp.example", ClientID: testClient, Credential: CredentialOptions{Secret: testSecret, CertificatePassword: "p"}}, "certificate file"},
		"identity id alone":   {Options{Tenant: "corp.example", ClientID: testClient, Credential: CredentialOptions{Secret: testSecret, ManagedIdentityID: "i"}}, "managed identity"},
		"unknown cloud":       {Options{Tenant: "corp.example", ClientID: testClient, Credential: secret, Cloud: Cloud{Name: "mars"}}, "us_gov_dod"},
		"plain http":          {Options{Tenant: "corp.example", ClientID: testClient, Credential: secret, Cloud: Cloud{Graph: "http://graph.example"}}, "graph URL"},
		"password in URL":     {Options{Tenant: "corp.example", ClientID: testClient, Credential: secret, Cloud: Cloud{Authority: "https://u:" + testSecret + "@x.example"}}, "authority URL"},
		"query in URL":        {Options{Tenant: "corp.example", ClientID: testClient, Credential: secret, Cloud: Cloud{Defender: "https://x.example?a=b"}}, "defender URL"},
	}
	for name, tt := range tests {
		tt.o.Name = "corp"
		c, err := New(tt.o)
		if err == nil {
			c.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"corp"`) || strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s: error %q, want %q and the tenant's name", name, err, tt.want)
		}
	}
}

func TestClouds(t *testing.T) {
	for _, name := range CloudNames() {
		cloud, ok := ParseCloud(name)
		if !ok || cloud.Name != name {
			t.Errorf("ParseCloud(%q) = %+v, %v", name, cloud, ok)
		}
		full, err := Cloud{Name: name}.complete()
		if err != nil || full.Graph != cloud.Graph || full.Defender != cloud.Defender {
			t.Errorf("%s completes to %+v, %v", name, full, err)
		}
		u, _ := url.Parse(cloud.Authority)
		if !knownAuthority(u.Host) {
			t.Errorf("%s: sign-in host %s is not a known one", name, u.Host)
		}
	}
	if _, ok := ParseCloud("Public"); ok {
		t.Error("names are lower case")
	}
	got, err := Cloud{Name: "us_gov", Graph: "https://relay.example/graph"}.complete()
	if err != nil || got.Graph != "https://relay.example/graph" || got.Authority != "https://login.microsoftonline.us" {
		t.Errorf("override: %+v, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	names := EndpointNames()
	if len(names) != int(numEndpoints) || slices.Contains(names, "") {
		t.Errorf("endpoint names %v", names)
	}
	seen := map[string]bool{}
	for ep := range numEndpoints {
		if seen[ep.String()] {
			t.Errorf("two endpoints are called %s", ep)
		}
		seen[ep.String()] = true
		if endpoints[ep].permission == "" || ep.Resource() >= numResources {
			t.Errorf("%s is incomplete", ep)
		}
	}
	for got, want := range map[string]string{
		fmt.Sprint(numEndpoints): "13", fmt.Sprint(KindGone): "gone", fmt.Sprint(numKinds): "9",
		fmt.Sprint(Defender): "defender", fmt.Sprint(numResources): "3",
	} {
		if got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
	for id := range numScopes {
		if limits[id].name == "" || len(limits[id].windows) == 0 {
			t.Errorf("throttle scope %d has no limit", id)
		}
	}
}

func TestNACHosts(t *testing.T) {
	f := &fake{}
	public, relay := newClient(t, f.options()), f.options()
	relay.Cloud = Cloud{Graph: "https://127.0.0.1:8443/graph", Intune: "https://127.0.0.1:8443/nac-resource"}
	test := newClient(t, relay)
	for _, tt := range []struct {
		c    *Client
		link string
		want bool
	}{
		{public, "https://fef.msua01.manage.microsoft.com/TrafficGateway/x", true},
		{public, "https://FEF.MSUA01.manage.microsoft.com/x", true},
		{public, "https://fef.msua01.manage.microsoft.com:8443/x", false},
		{public, "https://manage.microsoft.com/x", false},
		{public, "https://graph.microsoft.com/x", true},
		{public, "https://login.microsoftonline.com/x", false},
		{test, "https://127.0.0.1:8443/nac/cisco/devices", true},
		{test, "https://127.0.0.1:8444/nac/cisco/devices", false},
		{test, "https://1.0.0.1:8443/nac", false},
	} {
		if _, err := tt.c.locate(Intune, tt.link); (err == nil) != tt.want {
			t.Errorf("locate(%s): %v, want allowed %v", tt.link, err, tt.want)
		}
	}
}
