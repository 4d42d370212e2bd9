package replay

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// faultStage is a gateway for the reasons that no vector can produce: they are
// about the request, its credentials, or the gateway's own keys and lists.
type faultStage struct {
	gateway  *rig.Gateway
	issuer   *rig.Issuer // whose keys are in a file
	silent   *rig.Issuer // whose keys cannot be fetched
	deviceCA *rig.CA
	serverCA *rig.CA
	file     string // of the devices
	tls      int
	plain    int
}

// The sites of a faultStage, and a device id. earlyHost asks for no certificate:
// where one is asked for, Caddy resumes no session and there is no early data.
const (
	faultHost = "a.corp.example"
	otherHost = "b.corp.example"
	earlyHost = "c.corp.example"
	deviceID  = "00000000-0000-4000-8000-0000000000ff"
)

// behindProxy makes every client of this machine a trusted proxy. Its own TLS
// certificate then names no device.
const behindProxy = "forwarded_certificate rfc9440 {\nfrom 127.0.0.1\n}"

// openFaults starts the gateway. certificates are further lines of
// client_certificate, more are further lines of the option.
func openFaults(t *testing.T, certificates, more string, devices []map[string]any) *faultStage {
	t.Helper()
	s := &faultStage{
		issuer: rig.NewIssuer(t, "https://idp.corp.example"), silent: rig.NewIssuer(t, "https://silent.corp.example"),
		deviceCA: rig.NewCA(t, "Device CA"), serverCA: rig.NewCA(t, "Server CA"), tls: rig.FreePort(t), plain: rig.FreePort(t),
	}
	s.file = filepath.Join(t.TempDir(), "devices.json")
	text, err := json.Marshal(map[string]any{"version": 1, "devices": append(devices, complete())})
	if err == nil {
		err = os.WriteFile(s.file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cert, key := s.serverCA.Server(faultHost, otherHost, earlyHost)
	upstream := rig.NewUpstream(t)
	gate := func(policy string) string {
		return fmt.Sprintf("compliance %s\nreverse_proxy %s", policy, upstream.Addr())
	}
	sites := fmt.Sprintf("https://%s:%d {\nbind 127.0.0.1\ntls %s %s\n%s\n}\n", earlyHost, s.tls, cert, key, gate("signed-in"))
	for host, policy := range map[string]string{faultHost: "signed-in", otherHost: "impatient"} {
		sites += fmt.Sprintf(`
https://%[1]s:%[2]d {
	bind 127.0.0.1
	tls %[3]s %[4]s {
		client_auth {
			mode verify_if_given
			trust_pool file %[5]s
		}
	}
	%[6]s
}
http://%[1]s:%[7]d {
	bind 127.0.0.1
	%[6]s
}
`, host, s.tls, cert, key, s.deviceCA.File, gate(policy), s.plain)
	}
	s.gateway = rig.Start(t, rig.Setup{
		Compliance: fmt.Sprintf(`
		issuer corp %s {
			jwks file %s
			audience intranet
			device_claim deviceid entra
		}
		issuer silent %s {
			jwks http://127.0.0.1:%d/keys
			audience intranet
		}
		client_certificate {
			trust_pool file %s
			device_id entra subject_cn
			%s
		}
		%s
		source inventory %s {
			check_interval 1s
		}
		policy signed-in {
			require user
		}
		policy impatient {
			require compliant
			max_age 1250ms
			stale_if_error 0
		}
`, s.issuer.URL, s.issuer.JWKS, s.silent.URL, rig.FreePort(t), s.deviceCA.File, certificates, more, s.file),
		// Caddy refuses a foreign Host by itself where it asks for certificates;
		// the gateway's own check is for servers where that is switched off.
		Global: fmt.Sprintf("http_port %d\nhttps_port %d\nauto_https off\nservers {\nstrict_sni_host insecure_off\n}", s.plain, s.tls),
		Sites:  sites,
	})
	return s
}

// plainDo sends a request without TLS and returns the status.
func (s *faultStage) plainDo(t *testing.T, method, path string, header ...string) int {
	t.Helper()
	c := rig.NewClient(t, rig.ClientOptions{Protocol: "h1", Port: s.plain})
	return rig.Do(t, c, method, fmt.Sprintf("http://%s:%d%s", faultHost, s.plain, path), header...).StatusCode
}

// reasons are the codes of the remembered decision about a path.
func (s *faultStage) reasons(t *testing.T, path string) []string {
	t.Helper()
	var list struct {
		Decisions []struct {
			Path    string `json:"path"`
			Reasons []struct {
				Code string `json:"code"`
			} `json:"reasons"`
		} `json:"decisions"`
	}
	s.gateway.Call("GET", "/compliance/decisions?limit=1000", nil, &list)
	var codes []string
	for _, d := range list.Decisions {
		if d.Path == path {
			for _, r := range d.Reasons {
				codes = append(codes, r.Code)
			}
			return codes
		}
	}
	return nil
}

// fault is one reason and a request that produces it.
type fault struct {
	reason  decision.Reason
	status  int
	path    string // default: a path named after the reason
	proxied bool   // the client counts as a trusted proxy
	send    func(s *faultStage, t *testing.T, path string) int
}

// faults are what TestRequestReasons sends.
var faults = []fault{
	{decision.MalformedRequest, 400, "", true, plain("GET", "Client-Cert", "not a structured field")},
	{decision.AmbiguousCredentials, 400, "", false, plain("GET", "Authorization", "Bearer a", "Authorization", "Bearer b")},
	{decision.PathNotAllowed, 400, "/finance/../admin", false, plain("GET")},
	{decision.MethodNotAllowed, 405, "", false, plain("FROBNICATE")},
	{decision.OriginNotAllowed, 403, "", false, plain("GET", "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Origin", "https://elsewhere.example")},
	{decision.PreflightNotAllowed, 403, "", false, plain("OPTIONS", "Origin", "https://elsewhere.example", "Access-Control-Request-Method", "PUT")},
	{decision.EarlyData, 425, "", false, (*faultStage).sendEarly},
	{decision.MisdirectedRequest, 421, "", false, (*faultStage).sendMisdirected},
	{decision.InvalidToken, 401, "", false, (*faultStage).sendExpiredToken},
	{decision.CertificateInvalid, 403, "", true, (*faultStage).sendExpiredCertificate},
	{decision.KeysUnavailable, 503, "", false, (*faultStage).sendUncheckedToken},
}

// plain makes a request without TLS.
func plain(method string, header ...string) func(*faultStage, *testing.T, string) int {
	return func(s *faultStage, t *testing.T, path string) int {
		t.Helper()
		return s.plainDo(t, method, path, header...)
	}
}

func (s *faultStage) sendExpiredToken(t *testing.T, path string) int {
	t.Helper()
	now := time.Now().Unix()
	return s.plainDo(t, "GET", path, rig.Bearer(s.issuer.Token(rig.Claims{"iat": now - 7200, "exp": now - 3600}))...)
}

// sendUncheckedToken sends a token whose issuer's keys cannot be fetched.
func (s *faultStage) sendUncheckedToken(t *testing.T, path string) int {
	t.Helper()
	return s.plainDo(t, "GET", path, rig.Bearer(s.silent.Token(nil))...)
}

// sendExpiredCertificate passes a certificate on as a proxy does: in a TLS
// handshake the server would not take it.
func (s *faultStage) sendExpiredCertificate(t *testing.T, path string) int {
	t.Helper()
	c := s.deviceCA.Device(deviceID, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-50*time.Minute), time.Now().Add(-10*time.Minute)
	})
	return s.plainDo(t, "GET", path, "Client-Cert", ":"+base64.StdEncoding.EncodeToString(c.Certificate[0])+":")
}

// sendMisdirected opens a connection, with a certificate, for another site.
func (s *faultStage) sendMisdirected(t *testing.T, path string) int {
	t.Helper()
	cert := s.deviceCA.Device(deviceID, nil)
	c := rig.NewClient(t, rig.ClientOptions{Protocol: "h2", Port: s.tls, Authority: s.serverCA, Certificate: &cert})
	return rig.Do(t, c, "GET", fmt.Sprintf("https://%s:%d%s", otherHost, s.tls, path), "Host", faultHost).StatusCode
}

// TestRequestReasons produces each reason that stands before any policy.
func TestRequestReasons(t *testing.T) {
	t.Parallel()
	direct, proxied := openFaults(t, "", "", nil), openFaults(t, "", behindProxy, nil)
	for _, f := range faults {
		t.Run(f.reason.Code(), func(t *testing.T) {
			s := direct
			if f.proxied {
				s = proxied
			}
			path := f.path
			if path == "" {
				path = "/" + f.reason.Code()
			}
			if status := f.send(s, t, path); status != f.status {
				t.Errorf("status %d, want %d", status, f.status)
			}
			if codes := s.reasons(t, path); len(codes) != 1 || codes[0] != f.reason.Code() {
				t.Errorf("reasons %v, want %s", codes, f.reason)
			}
		})
	}
}

// TestRevocationListReason: a certificate whose revocation list was never read.
func TestRevocationListReason(t *testing.T) {
	t.Parallel()
	s := openFaults(t, fmt.Sprintf("revocation crl http://127.0.0.1:%d/device-ca.crl", rig.FreePort(t)), "", nil)
	cert := s.deviceCA.Device(deviceID, nil)
	c := rig.NewClient(t, rig.ClientOptions{Protocol: "h2", Port: s.tls, Authority: s.serverCA, Certificate: &cert})
	a := rig.Do(t, c, "GET", fmt.Sprintf("https://%s:%d/", faultHost, s.tls), "Accept", "application/json")
	if a.StatusCode != ownTests[decision.RevocationListUnavailable].status || a.Problem(t).Codes()[0] != decision.RevocationListUnavailable.Code() {
		t.Errorf("%s: %s", a.Status, a.Body)
	}
}

// TestVerdictExpiredReason: a gateway that was suspended knows that its facts are
// too old, although nothing failed, until it has read the file again. There are
// many devices, so that requests come before that, and the file's new date makes
// it read them all.
func TestVerdictExpiredReason(t *testing.T) {
	t.Parallel()
	var devices []map[string]any
	for i := range 20_000 {
		d := complete()
		d["ids"] = map[string]any{"entra": fmt.Sprintf("00000000-0000-4000-8000-%012d", i+100)}
		devices = append(devices, d)
	}
	s := openFaults(t, "", "", devices)
	c := rig.NewClient(t, rig.ClientOptions{Protocol: "h1", Port: s.plain})
	token := append(rig.Bearer(s.issuer.Token(rig.Claims{"deviceid": "00000000-0000-4000-8000-000000000100"})), "Accept", "application/json")
	reason := func() string { // of a refusal; "" for the app's answer
		a := rig.Do(t, c, "GET", fmt.Sprintf("http://%s:%d/", otherHost, s.plain), token...)
		switch a.StatusCode {
		case http.StatusOK:
			return ""
		case http.StatusServiceUnavailable:
			// Another one is source_failing: a busy machine reads such a file for so
			// long that the read counts as overdue.
			return strings.Join(a.Problem(t).Codes(), " ")
		}
		t.Fatalf("%s: %s", a.Status, a.Body)
		return ""
	}
	// A busy machine reads such a file late, and then its facts are too old for a moment.
	rig.Eventually(t, time.Minute, "a decision from fresh facts", func() bool { return reason() == "" })
	rig.Eventually(t, time.Minute, "a decision with verdict_expired", func() bool {
		resume := s.gateway.Suspend()
		now := time.Now()
		err := os.Chtimes(s.file, now, now)
		time.Sleep(2 * time.Second) // longer than max_age allows for any device
		resume()
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if reason() == decision.VerdictExpired.Code() {
				return true
			}
		}
		return false
	})
}
