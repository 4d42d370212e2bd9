package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// The devices that tests speak of. Each id stands for one row of devices().
const (
	goodID    = "11111111-1111-4111-8111-111111111111"
	badID     = "22222222-2222-4222-8222-222222222222"
	graceID   = "33333333-3333-4333-8333-333333333333"
	retiredID = "44444444-4444-4444-8444-444444444444"
	unknownID = "99999999-9999-4999-8999-999999999999"
)

type row = map[string]any

func device(id, name, compliance string, more row) row {
	r := row{
		"ids": row{"entra": id}, "name": name, "platform": "windows", "os_version": "10.0.22631.4460",
		"compliance": compliance, "managed": true, "encrypted": true, "jailbroken": false, "risk": "low",
	}
	for k, v := range more {
		r[k] = v
	}
	return r
}

func devices() []row {
	return []row{
		device(goodID, "LAPTOP-GOOD", "compliant", nil),
		device(badID, "LAPTOP-BAD", "noncompliant", row{"encrypted": false, "risk": "high"}),
		device(graceID, "LAPTOP-GRACE", "in_grace", row{"grace_until": "2099-01-01T00:00:00Z"}),
		device(retiredID, "LAPTOP-GONE", "compliant", row{"lifecycle": "retiring"}),
	}
}

// writeInventory writes an inventory file in one step, as exporters should.
func writeInventory(t testing.TB, path string, rows []row) {
	t.Helper()
	raw, err := json.Marshal(row{"version": 1, "devices": rows})
	if err != nil {
		t.Fatal(err)
	}
	err = os.WriteFile(path+".new", raw, 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stand is one installation: gateway, upstream, issuer, authorities, inventory.
type stand struct {
	t         testing.TB
	Gateway   *rig.Gateway
	Upstream  *rig.Upstream
	Issuer    *rig.Issuer
	DeviceCA  *rig.CA
	ServerCA  *rig.CA
	Inventory string
	Port      int // TLS, also HTTP/3
	Plain     int // plain HTTP on loopback
	setup     rig.Setup
}

// appHost is the site under test.
const appHost = "app.corp.example"

// standOptions change the usual installation.
type standOptions struct {
	Policies   string // replaces the usual policies; the site uses `standard`
	Compliance string // further lines of the compliance option
	Directives string // replaces the site's `compliance standard`
	Sites      string // further sites; {upstream} is replaced
	Rows       []row
	NoTLS      bool
}

const usualPolicies = `
	step_up mfa {
		for corp {
			acr_values urn:example:mfa
		}
		max_age 12h
	}
	policy standard {
		require user
		require managed
		require compliant
		require encrypted
		require risk at_most medium
	}
	policy finance {
		extends standard
		require step_up mfa
	}
`

func newStand(t testing.TB, o standOptions) *stand {
	t.Helper()
	s := &stand{
		t: t, Upstream: rig.NewUpstream(t), Issuer: rig.NewIssuer(t, "https://idp.corp.example"),
		DeviceCA: rig.NewCA(t, "Device CA"), ServerCA: rig.NewCA(t, "Server CA"),
		Inventory: filepath.Join(t.TempDir(), "devices.json"), Port: rig.FreePort(t), Plain: rig.FreePort(t),
	}
	if o.Rows == nil {
		o.Rows = devices()
	}
	writeInventory(t, s.Inventory, o.Rows)
	if o.Policies == "" {
		o.Policies = usualPolicies
	}
	if o.Directives == "" {
		o.Directives = "compliance standard\n@finance path /finance/*\ncompliance @finance finance"
	}
	cert, key := s.ServerCA.Server(appHost, "other.corp.example")
	s.setup = rig.Setup{
		Compliance: fmt.Sprintf(`
		issuer corp %s {
			jwks file %s
			audience intranet
			device_claim deviceid entra
			groups_claim groups
		}
		client_certificate {
			trust_pool file %s
			device_id entra subject_cn
		}
		source inventory %s {
			check_interval 200ms
		}
		%s
		%s`, s.Issuer.URL, s.Issuer.JWKS, s.DeviceCA.File, s.Inventory, o.Policies, o.Compliance),
		Global: fmt.Sprintf("http_port %d\nhttps_port %d\nauto_https disable_redirects", s.Plain, s.Port),
		Sites: fmt.Sprintf(`
https://%s:%d {
	tls %s %s {
		client_auth {
			mode verify_if_given
			trust_pool file %s
		}
	}
	%s
	reverse_proxy %s
}
http://127.0.0.1:%d {
	bind 127.0.0.1
	%s
	reverse_proxy %s
}
%s`, appHost, s.Port, cert, key, s.DeviceCA.File, o.Directives, s.Upstream.Addr(),
			s.Plain, o.Directives, s.Upstream.Addr(), o.Sites),
	}
	s.Gateway = rig.Start(t, s.setup)
	return s
}

// client makes a TLS client for one protocol, with a device certificate if
// deviceID is given.
func (s *stand) client(protocol, deviceID string) *http.Client {
	s.t.Helper()
	o := rig.ClientOptions{Protocol: protocol, Authority: s.ServerCA, Port: s.Port}
	if deviceID != "" {
		c := s.DeviceCA.Device(deviceID, nil)
		o.Certificate = &c
	}
	return rig.NewClient(s.t, o)
}

// plain is a client for the plain site.
func (s *stand) plain() *http.Client {
	return rig.NewClient(s.t, rig.ClientOptions{Protocol: "h1", Port: s.Plain})
}

// token signs a token of alice on a device; more claims replace the defaults.
func (s *stand) token(deviceID string, more rig.Claims) string {
	claims := rig.Claims{}
	if deviceID != "" {
		claims["deviceid"] = deviceID
	}
	for k, v := range more {
		claims[k] = v
	}
	return s.Issuer.Token(claims)
}

func (s *stand) url(path string) string { return fmt.Sprintf("https://%s:%d%s", appHost, s.Port, path) }
func (s *stand) plainURL(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", s.Plain, path)
}
