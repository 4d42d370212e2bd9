package fleet

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// stage is a gateway in front of an app, and the tenant that it reads.
type stage struct {
	t        *testing.T
	tenant   *emulator.Server
	base     string // of the tenant
	leave    func() // the tenant is gone
	gateway  *rig.Gateway
	setup    rig.Setup // of the gateway
	upstream *rig.Upstream
	issuer   *rig.Issuer
	port     int
	tls      *rig.CA // of the second site
	tlsPort  int
	dir      string // for files that a source reads
}

// options of a stage.
type options struct {
	Sources  string // source lines; {base}, {ca} and {dir} are replaced
	Policies string
	Tenant   emulator.Options
	Kind     string // of the device id in tokens; default entra
	Entra    bool   // an issuer of Entra ID as well, called entra; see entraToken
	TLS      string // the inside of client_auth of a second site, over TLS; see overTLS
	// Before is called when the tenant serves, before the gateway starts.
	Before func(s *stage)
}

// open starts tenant and gateway and waits until the gateway has read it. The
// policy of a path /NAME/… is NAME.
func open(t *testing.T, o options) *stage {
	t.Helper()
	s := &stage{
		t: t, tenant: emulator.New(o.Tenant), upstream: rig.NewUpstream(t),
		issuer: rig.NewIssuer(t, "https://idp.corp.example"), port: rig.FreePort(t),
	}
	base, _, stop := s.tenant.Start()
	t.Cleanup(stop)
	s.base, s.leave, s.dir = base, stop, t.TempDir()
	ca := filepath.Join(s.dir, "tenant-ca.pem")
	err := os.WriteFile(ca, s.tenant.CAPEM(), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if o.Before != nil {
		o.Before(s)
	}
	entra := ""
	if o.Entra {
		entra = fmt.Sprintf("issuer entra {\n\ttenant %s\n\taudience intranet\n\tjwks file %s\n\tdevice_claim deviceid entra\n}", emulator.DefaultTenant, s.issuer.JWKS)
	}
	replace := strings.NewReplacer("{base}", base, "{ca}", ca, "{dir}", s.dir)
	var gates strings.Builder
	for _, line := range strings.Split(o.Policies, "\n") {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "policy" {
			fmt.Fprintf(&gates, "\t@%[1]s path /%[1]s/*\n\tcompliance @%[1]s %[1]s\n", words[1])
		}
	}
	sites, global := fmt.Sprintf("http://127.0.0.1:%d {\n\tbind 127.0.0.1\n%s\treverse_proxy %s\n}\n", s.port, gates.String(), s.upstream.Addr()), ""
	if o.TLS != "" {
		s.tls, s.tlsPort = rig.NewCA(t, "servers"), rig.FreePort(t)
		cert, key := s.tls.Server("app.corp.example")
		sites += fmt.Sprintf("https://app.corp.example:%d {\n\tbind 127.0.0.1\n\ttls %s %s {\n\t\tclient_auth {\n\t\t\t%s\n\t\t}\n\t}\n%s\treverse_proxy %s\n}\n",
			s.tlsPort, cert, key, replace.Replace(o.TLS), gates.String(), s.upstream.Addr())
		global = "auto_https disable_redirects"
	}
	s.setup = rig.Setup{
		Compliance: replace.Replace(fmt.Sprintf(`
		issuer corp %s {
			jwks file %s
			audience intranet
			device_claim deviceid %s
		}
		%s
		microsoft {
			tenant %s
			client_id %s
			client_secret {env.CLIENT_SECRET}
			endpoint authority {base}/login
			endpoint graph {base}/graph
			endpoint defender {base}/defender
			endpoint intune {base}/nac-resource/
			ca_file {ca}
		}
		%s
		%s`, s.issuer.URL, s.issuer.JWKS, cmp.Or(o.Kind, "entra"), entra, emulator.DefaultTenant, emulator.DefaultClientID, o.Sources, o.Policies)),
		Sites: sites, Global: global,
		Env: []string{"CLIENT_SECRET=" + emulator.DefaultSecret, "ADMIN_PASSWORD=" + emulator.AdminPassword, "OPERATOR=" + operatorToken},
	}
	s.gateway = rig.Start(t, s.setup)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("gateway:\n%s", s.gateway.Log())
		}
	})
	rig.Eventually(t, time.Minute, "the gateway to have read the tenant", s.ready)
	return s
}

// operatorToken is in the environment of the gateway, as OPERATOR.
const operatorToken = "an-operator-token-of-length"

// crash kills the gateway and starts it again with what it had on disk.
func (s *stage) crash() {
	s.t.Helper()
	s.gateway.Kill()
	s.setup.Dir = s.gateway.Dir
	s.gateway = rig.Start(s.t, s.setup)
	rig.Eventually(s.t, time.Minute, "the gateway to have read the tenant again", s.ready)
}

// restart stops the gateway, does what between says, and starts it again with the state
// that it left.
func (s *stage) restart(between func()) {
	s.t.Helper()
	s.gateway.Stop()
	between()
	s.setup.Dir = s.gateway.Dir
	s.gateway = rig.Start(s.t, s.setup)
}

// ready reports whether every source has been read.
func (s *stage) ready() bool {
	var status struct {
		Sources []struct {
			Name  string `json:"name"`
			State string `json:"state"`
		} `json:"sources"`
	}
	if s.gateway.Call(http.MethodGet, "/compliance/status", nil, &status) != http.StatusOK || len(status.Sources) == 0 {
		return false
	}
	for _, src := range status.Sources {
		if src.State != "ok" && src.State != "idle" { // idle: only asked when a request needs it
			return false
		}
	}
	return true
}

// device finds a telling device of the tenant.
func (s *stage) device(name string) *emulator.Device {
	s.t.Helper()
	for _, d := range s.tenant.Devices() {
		if d.Name == name {
			return d
		}
	}
	s.t.Fatalf("no device is called %s", name)
	return nil
}

// token is one of the device's primary user, or of somebody else if it has none.
func (s *stage) token(d *emulator.Device) string {
	claims := rig.Claims{"deviceid": d.EntraID.String(), "sub": "somebody", "preferred_username": "somebody@else.example"}
	if d.User != nil {
		claims["sub"], claims["preferred_username"] = d.User.OID.String(), d.User.UPN
	}
	return s.issuer.Token(claims)
}

// entraToken is one that Entra ID would issue for a user with too many groups to
// list. extra sets further claims.
func (s *stage) entraToken(u *emulator.User, extra rig.Claims) string {
	claims := rig.Claims{
		"iss": "https://login.microsoftonline.com/" + emulator.DefaultTenant + "/v2.0", "tid": emulator.DefaultTenant, "ver": "2.0",
		"sub": "pairwise-" + u.OID.String(), "oid": u.OID.String(), "preferred_username": u.UPN, "scp": "access", "azp": emulator.DefaultClientID,
		"groups": nil, "_claim_names": map[string]string{"groups": "src1"},
		"_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://graph.windows.net/users/" + u.OID.String() + "/getMemberObjects"}},
	}
	maps.Copy(claims, extra)
	return s.issuer.Token(claims)
}

// overTLS asks the second site with a client certificate (nil: none).
func (s *stage) overTLS(policy string, cert *tls.Certificate, header ...string) (status int, reasons []string) {
	s.t.Helper()
	c := rig.NewClient(s.t, rig.ClientOptions{Protocol: "h2", Authority: s.tls, Certificate: cert, Port: s.tlsPort})
	a := rig.Do(s.t, c, http.MethodGet, "https://app.corp.example/"+policy+"/x", header...)
	if a.StatusCode == http.StatusOK {
		return a.StatusCode, nil
	}
	return a.StatusCode, a.Problem(s.t).Codes()
}

// ask asks the app under a policy with a token, and returns the status and the
// codes of the reasons.
func (s *stage) ask(policy, token string) (status int, reasons []string) {
	s.t.Helper()
	a := rig.Do(s.t, http.DefaultClient, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/%s/x", s.port, policy), rig.Bearer(token)...)
	if a.StatusCode == http.StatusOK {
		return a.StatusCode, nil
	}
	return a.StatusCode, a.Problem(s.t).Codes()
}
