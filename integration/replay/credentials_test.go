package replay

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// request is how a vector comes over HTTP.
type request struct {
	client *http.Client
	url    string
	header []string
}

// request makes the vector's credentials.
func (s *stage) request(t testing.TB, e *entry) request {
	t.Helper()
	q := request{header: []string{"Accept", "application/json"}}
	if e.ClientIP != "127.0.0.1" {
		q.header = append(q.header, "X-Forwarded-For", e.ClientIP)
	}
	cert := s.certificate(t, e)
	o := rig.ClientOptions{Protocol: "h1", Port: s.plain}
	q.url = fmt.Sprintf("http://%s:%d%s", e.Host(), s.plain, e.Path)
	switch {
	case cert != nil && e.overTLS():
		o = rig.ClientOptions{Protocol: "h2", Port: s.tls, Authority: s.serverCA, Certificate: cert}
		q.url = fmt.Sprintf("https://%s:%d%s", e.Host(), s.tls, e.Path)
	case cert != nil:
		q.header = append(q.header, "Client-Cert", ":"+base64.StdEncoding.EncodeToString(cert.Certificate[0])+":")
	}
	q.client = rig.NewClient(t, o)
	if token := s.token(e, cert); token != "" {
		q.header = append(q.header, rig.Bearer(token)...)
	}
	return q
}

// certificate of the vector's device, or nil. An issuer reads one device claim,
// so that a vector with a serial number beside the id shows the number in a
// certificate; a bound token comes with a certificate that is no device's.
func (s *stage) certificate(t testing.TB, e *entry) *tls.Certificate {
	t.Helper()
	if e.Device == nil {
		return nil
	}
	var c tls.Certificate
	switch d := e.Device; {
	case d.Proof == "certificate" || d.Proof == "forwarded_certificate":
		c = s.deviceCA.Device(e.DeviceID(), func(tmpl *x509.Certificate) {
			tmpl.Subject.SerialNumber = d.Serial
			if e.User != nil && e.User.Issuer == decision.IssuerCertificate {
				tmpl.ExtraExtensions = append(tmpl.ExtraExtensions, principal(t, e.User.Name))
			}
		})
	case d.Serial != "":
		c = s.deviceCA.Device("LAPTOP", func(tmpl *x509.Certificate) { tmpl.Subject.SerialNumber = d.Serial })
	case d.Proof == "bound_token":
		c = s.otherCA.Device("payroll", nil)
	case d.Proof == "token":
		return nil
	default:
		t.Fatalf("%s:%d: proof %s cannot be shown over HTTP", e.File, e.Line, d.Proof)
	}
	return &c
}

// principal is a subject alternative name with a user principal name: an
// otherName of type 1.3.6.1.4.1.311.20.2.3 (RFC 5280, section 4.2.1.6).
func principal(t testing.TB, name string) pkix.Extension {
	t.Helper()
	type otherName struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8,explicit,tag:0"`
	}
	inner, err := asn1.MarshalWithParams(otherName{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, name}, "tag:0")
	if err != nil {
		t.Fatal(err)
	}
	value, err := asn1.Marshal([]asn1.RawValue{{FullBytes: inner}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}
}

// token of the vector's user, or "".
func (s *stage) token(e *entry, cert *tls.Certificate) string {
	claims := e.Claims(s.now)
	if claims == nil {
		return ""
	}
	all := rig.Claims{"preferred_username": nil, "auth_time": nil} // the rig's own are alice's
	maps.Copy(all, claims)
	if e.Device != nil && e.Device.Proof == "bound_token" {
		sum := sha256.Sum256(cert.Certificate[0])
		all["cnf"] = map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}
	}
	return s.issuers[e.User.Issuer].Token(all)
}
