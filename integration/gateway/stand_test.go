package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

	serverCert, serverKey string
}

// appHost is the site under test.
const appHost = "app.corp.example"

// standOptions change the usual installation. In every text, {upstream}, {port},
// {plain}, {host}, {tls}, {device_ca}, {dir}, {inventory}, {issuer} and {jwks} are replaced.
type standOptions struct {
	Policies     string // replaces the usual policies; the site uses `standard`
	Compliance   string // further lines of the compliance option
	Issuer       string // replaces the further lines of issuer corp
	Certificates string // replaces the inside of client_certificate
	ClientAuth   string // replaces the inside of the TLS site's client_auth
	Directives   string // replaces the sites' `compliance standard`
	Sites        string // further sites
	Global       string // further global options
	Rows         []row
	Env          []string
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

// newStand starts an installation.
func newStand(t testing.TB, o standOptions) *stand {
	t.Helper()
	s := prepareStand(t, o)
	s.Gateway = rig.Start(t, s.setup)
	return s
}

// prepareStand makes everything but the gateway, for tests that start it
// themselves or expect a refusal.
func prepareStand(t testing.TB, o standOptions) *stand {
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
	s.configure(o)
	return s
}

// configure writes the setup that o asks for; call [rig.Gateway.Reload] after it.
func (s *stand) configure(o standOptions) {
	if s.serverCert == "" {
		s.serverCert, s.serverKey = s.ServerCA.Server(appHost, "other.corp.example", "open.corp.example")
	}
	usual := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	usual(&o.Policies, usualPolicies)
	usual(&o.Directives, "compliance standard\n@finance path /finance/*\ncompliance @finance finance")
	usual(&o.ClientAuth, "mode verify_if_given\ntrust_pool file {device_ca}")
	usual(&o.Certificates, "trust_pool file {device_ca}\ndevice_id entra subject_cn")
	usual(&o.Issuer, "groups_claim groups")
	fill := strings.NewReplacer(
		"{upstream}", s.Upstream.Addr(), "{port}", strconv.Itoa(s.Port), "{plain}", strconv.Itoa(s.Plain),
		"{device_ca}", s.DeviceCA.File, "{tls}", s.serverCert+" "+s.serverKey, "{dir}", filepath.Dir(s.Inventory),
		"{inventory}", s.Inventory, "{issuer}", s.Issuer.URL, "{jwks}", s.Issuer.JWKS, "{host}", appHost,
	).Replace
	s.setup = rig.Setup{
		Compliance: fill(`
		issuer corp {issuer} {
			jwks file {jwks}
			audience intranet
			device_claim deviceid entra
			` + o.Issuer + `
		}
		client_certificate {
			` + o.Certificates + `
		}
		source inventory {inventory} {
			check_interval 200ms
		}
		` + o.Policies + "\n" + o.Compliance),
		Global: fill("default_bind 127.0.0.1\nhttp_port {plain}\nhttps_port {port}\nauto_https disable_redirects\n" + o.Global),
		Env:    o.Env,
		Sites: fill(`
https://{host}:{port} {
	tls {tls} {
		client_auth {
			` + o.ClientAuth + `
		}
	}
	` + o.Directives + `
	reverse_proxy {upstream}
}
http://127.0.0.1:{plain} {
	bind 127.0.0.1
	` + o.Directives + `
	reverse_proxy {upstream}
}
` + o.Sites),
	}
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
