package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func fwdPEM(certs ...*x509.Certificate) string {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: fwdPEMType, Bytes: c.Raw})
	}
	return b.String()
}

// fwdEnvoy escapes everything, fwdAWS leaves + = and / as they are.
func fwdEnvoy(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func fwdAWS(s string) string {
	return strings.NewReplacer("%2B", "+", "%3D", "=", "%2F", "/").Replace(fwdEnvoy(s))
}

func fwdSF(certs ...*x509.Certificate) string {
	var items []string
	for _, c := range certs {
		items = append(items, ":"+base64.StdEncoding.EncodeToString(c.Raw)+":")
	}
	return strings.Join(items, ", ")
}

func fwdHash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// fwdPlus makes a certificate whose PEM has a + in it, as most have.
func fwdPlus(t testing.TB, ca *certCA) *x509.Certificate {
	for range 100 {
		if c := ca.issue(t); strings.Contains(fwdPEM(c), "+") {
			return c
		}
	}
	t.Fatal("no PEM with a plus sign")
	return nil
}

func TestForwardedParse(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	issuing := newCertCA(t, "Issuing", root)
	leaf, other := fwdPlus(t, issuing), issuing.issue(t)
	xfcc := func(s string) http.Header { return http.Header{"X-Forwarded-Client-Cert": {s}} }
	nginx := func(cert, verify string) http.Header {
		return http.Header{"X-Ssl-Client-Cert": {cert}, "X-Ssl-Client-Verify": {verify}}
	}
	alb := func(s string) http.Header { return http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {s}} }
	cert := `Cert="` + fwdEnvoy(fwdPEM(leaf)) + `"`
	evil := `Cert="` + fwdEnvoy(fwdPEM(other)) + `"`
	large := fwdEnvoy(fwdPEM(issuing.issue(t, withCertExtension(oidCRLReason, false, make([]byte, maxCertBytes)))))
	six := []*x509.Certificate{leaf, issuing.cert, issuing.cert, issuing.cert, issuing.cert, issuing.cert}
	mine, malformed, duplicate, unverified := error(nil), ErrForwardedMalformed, ErrForwardedDuplicate, ErrForwardedUnverified

	tests := []struct {
		name    string
		dialect string
		header  http.Header
		err     error
		chain   []*x509.Certificate
	}{
		{"absent", "rfc9440", http.Header{}, mine, nil},
		{"leaf", "rfc9440", http.Header{"Client-Cert": {fwdSF(leaf)}}, mine, []*x509.Certificate{leaf}},
		{
			"chain", "rfc9440",
			http.Header{"Client-Cert": {fwdSF(leaf)}, "Client-Cert-Chain": {fwdSF(issuing.cert, root.cert)}},
			mine,
			[]*x509.Certificate{leaf, issuing.cert, root.cert},
		},
		{
			"chain in two lines", "rfc9440",
			http.Header{"Client-Cert": {fwdSF(leaf)}, "Client-Cert-Chain": {fwdSF(issuing.cert), fwdSF(root.cert)}},
			mine,
			[]*x509.Certificate{leaf, issuing.cert, root.cert},
		},
		{"chain alone", "rfc9440", http.Header{"Client-Cert-Chain": {fwdSF(issuing.cert)}}, malformed, nil},
		{"twice", "rfc9440", http.Header{"Client-Cert": {fwdSF(leaf), fwdSF(leaf)}}, duplicate, nil},
		{"two in one", "rfc9440", http.Header{"Client-Cert": {fwdSF(leaf, leaf)}}, malformed, nil},
		{"empty", "rfc9440", http.Header{"Client-Cert": {""}}, malformed, nil},
		{"no colons", "rfc9440", http.Header{"Client-Cert": {base64.StdEncoding.EncodeToString(leaf.Raw)}}, malformed, nil},
		{"a string", "rfc9440", http.Header{"Client-Cert": {`"` + fwdHash(leaf) + `"`}}, malformed, nil},
		{"url alphabet", "rfc9440", http.Header{"Client-Cert": {":" + base64.URLEncoding.EncodeToString([]byte{0xff, 0xff, 0xff}) + ":"}}, malformed, nil},
		{"not a certificate", "rfc9440", http.Header{"Client-Cert": {":aGVsbG8=:"}}, malformed, nil},
		{"data behind the certificate", "rfc9440", http.Header{"Client-Cert": {":" + base64.StdEncoding.EncodeToString(append(bytes.Clone(leaf.Raw), 0)) + ":"}}, malformed, nil},
		{"inner list in the chain", "rfc9440", http.Header{"Client-Cert": {fwdSF(leaf)}, "Client-Cert-Chain": {"(" + fwdSF(issuing.cert) + ")"}}, malformed, nil},
		{"chain of strings", "rfc9440", http.Header{"Client-Cert": {fwdSF(leaf)}, "Client-Cert-Chain": {`"a"`}}, malformed, nil},
		{"too many", "rfc9440", http.Header{"Client-Cert": {fwdSF(leaf)}, "Client-Cert-Chain": {fwdSF(six[1:]...)}}, malformed, nil},
		{"other product's header", "rfc9440", xfcc(cert), mine, nil},

		{"absent", "xfcc", http.Header{}, mine, nil},
		{"cert", "xfcc", xfcc("By=spiffe://edge;Hash=" + fwdHash(leaf) + ";" + cert + `;Subject="CN=a";URI=`), mine, []*x509.Certificate{leaf}},
		{"keys in another case", "xfcc", xfcc(strings.Replace(cert, "Cert", "cERT", 1)), mine, []*x509.Certificate{leaf}},
		{"chain", "xfcc", xfcc(`Chain="` + fwdEnvoy(fwdPEM(leaf, issuing.cert)) + `"`), mine, []*x509.Certificate{leaf, issuing.cert}},
		{"cert and chain", "xfcc", xfcc(cert + `;Chain="` + fwdEnvoy(fwdPEM(leaf, issuing.cert)) + `"`), mine, []*x509.Certificate{leaf, issuing.cert}},
		{"cert of another chain", "xfcc", xfcc(evil + `;Chain="` + fwdEnvoy(fwdPEM(leaf, issuing.cert)) + `"`), malformed, nil},
		{"last element counts", "xfcc", xfcc(evil + "," + cert), mine, []*x509.Certificate{leaf}},
		{"last line counts", "xfcc", http.Header{"X-Forwarded-Client-Cert": {evil, cert}}, mine, []*x509.Certificate{leaf}},
		{"comma and semicolon in quotes", "xfcc", xfcc(`Subject="CN=x,` + strings.ReplaceAll(evil, `"`, `\"`) + `;O=y";` + cert), mine, []*x509.Certificate{leaf}},
		{"element inside a subject", "xfcc", xfcc(cert + `;Subject="CN=a\",` + strings.ReplaceAll(evil, `"`, `\"`) + `"`), mine, []*x509.Certificate{leaf}},
		{"hash only", "xfcc", xfcc("By=spiffe://edge;Hash=" + fwdHash(leaf)), malformed, nil},
		{"hash only in the last element", "xfcc", xfcc(cert + ",Hash=" + fwdHash(leaf)), malformed, nil},
		{"hash of another", "xfcc", xfcc("Hash=" + fwdHash(other) + ";" + cert), malformed, nil},
		{"hash in upper case", "xfcc", xfcc("Hash=" + strings.ToUpper(fwdHash(leaf)) + ";" + cert), mine, []*x509.Certificate{leaf}},
		{"two certs", "xfcc", xfcc(cert + ";" + evil), duplicate, nil},
		{"open quote", "xfcc", xfcc(cert + `;Subject="CN=a`), malformed, nil},
		{"quote in the middle", "xfcc", xfcc(`Cert=a"b"`), malformed, nil},
		{"pair without value", "xfcc", xfcc(cert + ";By"), malformed, nil},
		{"empty", "xfcc", xfcc(""), malformed, nil},
		{"trailing comma", "xfcc", xfcc(cert + ","), malformed, nil},
		{"several in Cert", "xfcc", xfcc(`Cert="` + fwdEnvoy(fwdPEM(leaf, issuing.cert)) + `"`), malformed, nil},

		{"absent", "nginx", http.Header{}, mine, nil},
		{"nobody", "nginx", http.Header{"X-Ssl-Client-Verify": {"NONE"}}, mine, nil},
		{"nobody, empty header", "nginx", nginx("", "NONE"), mine, nil},
		{"verified", "nginx", nginx(fwdEnvoy(fwdPEM(leaf)), "SUCCESS"), mine, []*x509.Certificate{leaf}},
		{"failed", "nginx", nginx(fwdEnvoy(fwdPEM(leaf)), "FAILED:unable to verify the first certificate"), unverified, nil},
		{"none with a certificate", "nginx", nginx(fwdEnvoy(fwdPEM(leaf)), "NONE"), unverified, nil},
		{"another case", "nginx", nginx(fwdEnvoy(fwdPEM(leaf)), "success"), unverified, nil},
		{"no result", "nginx", http.Header{"X-Ssl-Client-Cert": {fwdEnvoy(fwdPEM(leaf))}}, unverified, nil},
		{"result twice", "nginx", http.Header{"X-Ssl-Client-Cert": {fwdEnvoy(fwdPEM(leaf))}, "X-Ssl-Client-Verify": {"FAILED", "SUCCESS"}}, duplicate, nil},
		{"certificate twice", "nginx", http.Header{"X-Ssl-Client-Cert": {"a", "b"}, "X-Ssl-Client-Verify": {"SUCCESS"}}, duplicate, nil},
		{"verified nobody", "nginx", http.Header{"X-Ssl-Client-Verify": {"SUCCESS"}}, malformed, nil},
		{"not escaped", "nginx", nginx(strings.ReplaceAll(fwdPEM(leaf), "\n", "\t"), "SUCCESS"), malformed, nil},
		{"broken escape", "nginx", nginx("%zz", "SUCCESS"), malformed, nil},
		{"text before", "nginx", nginx("x"+fwdEnvoy(fwdPEM(leaf)), "SUCCESS"), malformed, nil},
		{"text behind", "nginx", nginx(fwdEnvoy(fwdPEM(leaf)+"x"), "SUCCESS"), malformed, nil},
		{"broken block before a good one", "nginx", nginx(fwdEnvoy("-----BEGIN CERTIFICATE-----\n?\n"+fwdPEM(leaf)), "SUCCESS"), malformed, nil},
		{"a key", "nginx", nginx(fwdEnvoy("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"), "SUCCESS"), malformed, nil},
		{"PEM header", "nginx", nginx(fwdEnvoy(strings.Replace(fwdPEM(leaf), "-----\n", "-----\na: b\n\n", 1)), "SUCCESS"), malformed, nil},
		{"too large", "nginx", nginx(large, "SUCCESS"), malformed, nil},
		{"far too large", "nginx", nginx(strings.Repeat("a", maxForwardedText+1), "SUCCESS"), malformed, nil},

		{"absent", "alb", http.Header{}, mine, nil},
		{"leaf with plus signs", "alb", alb(fwdAWS(fwdPEM(leaf))), mine, []*x509.Certificate{leaf}},
		{"passthrough", "alb", http.Header{"X-Amzn-Mtls-Clientcert": {fwdAWS(fwdPEM(leaf, issuing.cert))}}, mine, []*x509.Certificate{leaf, issuing.cert}},
		{"both modes", "alb", http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {"a"}, "X-Amzn-Mtls-Clientcert": {"b"}}, duplicate, nil},
		{"twice", "alb", http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {"a", "b"}}, duplicate, nil},
		{"empty", "alb", alb(""), malformed, nil},
		{"too many", "alb", http.Header{"X-Amzn-Mtls-Clientcert": {fwdAWS(fwdPEM(six...))}}, malformed, nil},
	}
	for _, tt := range tests {
		t.Run(tt.dialect+"/"+tt.name, func(t *testing.T) {
			d, err := ParseDialect(tt.dialect)
			if err != nil {
				t.Fatal(err)
			}
			chain, err := d.Parse(tt.header)
			if !errors.Is(err, tt.err) || err != nil && chain != nil {
				t.Fatalf("got %d certificates, error %v, want error %v", len(chain), err, tt.err)
			}
			if !slices.EqualFunc(chain, tt.chain, (*x509.Certificate).Equal) {
				t.Errorf("got %d certificates, want %d", len(chain), len(tt.chain))
			}
		})
	}
	for name, h := range map[string]http.Header{
		"one line": {"Client-Cert": {strings.Repeat("a", maxForwardedText+1)}},
		"together": {"Client-Cert": {":AA==:"}, "Client-Cert-Chain": slices.Repeat([]string{":AAAA:"}, maxForwardedText/6)},
	} {
		if _, err := dialectRFC9440.Parse(h); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("%s: got %v, want it refused unread", name, err)
		}
	}
	if !errors.Is(ErrForwardedUnverified, ErrForeign) {
		t.Error("an unverified certificate is not foreign")
	}
}

// The certificate of RFC 9440, appendix A.
const rfc9440Certificate = `:MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:`

func TestForwardedRFC9440Vector(t *testing.T) {
	chain, err := dialectRFC9440.Parse(http.Header{"Client-Cert": {rfc9440Certificate}})
	if err != nil || len(chain) != 1 {
		t.Fatalf("got %d certificates, error %v", len(chain), err)
	}
	leaf := chain[0]
	if leaf.Subject.CommonName != "BC" || leaf.SerialNumber.Int64() != 7 || !slices.Equal(leaf.EmailAddresses, []string{"bdc@example.com"}) ||
		!slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || leaf.NotAfter.Format("2006-01-02") != "2021-01-23" {
		t.Errorf("got subject %s, serial %s, mail %v, until %s", leaf.Subject, leaf.SerialNumber, leaf.EmailAddresses, leaf.NotAfter)
	}
}

func TestForwardedDialect(t *testing.T) {
	if _, err := ParseDialect("haproxy"); err == nil {
		t.Error("an unknown dialect was accepted")
	}
	if chain, err := (Dialect{}).Parse(http.Header{"Client-Cert": {rfc9440Certificate}}); !errors.Is(err, ErrForwardedMalformed) || chain != nil {
		t.Errorf("the zero dialect: got %v, %v", chain, err)
	}
	want := map[string][]string{
		"rfc9440": {"Client-Cert", "Client-Cert-Chain"}, "xfcc": {"X-Forwarded-Client-Cert"},
		"nginx": {"X-Ssl-Client-Cert", "X-Ssl-Client-Verify"}, "alb": {"X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert"},
	}
	for name, headers := range want {
		d, err := ParseDialect(name)
		if err != nil || d.String() != name || !slices.Equal(d.Headers(), headers) {
			t.Errorf("%s: got %s with headers %v, error %v", name, d, d.Headers(), err)
		}
		for _, h := range d.Headers() {
			if http.CanonicalHeaderKey(h) != h || !IsForwardedCertificateHeader(h) {
				t.Errorf("%s: header %s is not canonical or not stripped", name, h)
			}
		}
	}
}

// fwdNames are the headers in which proxies and products forward a client
// certificate or what they found in it, one list per product.
var fwdNames = []string{
	"Client-Cert", "Client-Cert-Chain", // RFC 9440
	"X-Forwarded-Client-Cert",                                                                       // Envoy
	"X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert-Serial-Number", // AWS ALB
	"X-Amzn-Mtls-Clientcert-Issuer", "X-Amzn-Mtls-Clientcert-Subject", "X-Amzn-Mtls-Clientcert-Validity",
	"X-Client-Cert", "X-Client-Certificate", "X-Client-Verify", "X-Client-Dn", // nginx, Apache, F5, by custom
	"X-Ssl-Cert", "X-Ssl-Client-Cert", "X-Ssl-Client-Verify", "X-Ssl-Client-S-Dn", "X-Ssl-Client-I-Dn", // nginx, HAProxy
	"X-Ssl-Client-Sha1", "X-Ssl-Client-Serial", "X-Ssl-Client-Dn", "X-Ssl-Client-Cn",
	"X-Ssl-Issuer", "X-Ssl-Client-Notbefore", "X-Ssl-Client-Notafter",
	"Ssl-Client-Cert", "Ssl-Client-Verify", "Ssl-Client-Subject-Dn", "Ssl-Client-Issuer-Dn", // ingress-nginx, Apache
	"X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", // Traefik
	"Cloudfront-Viewer-Cert-Serial-Number", "Cloudfront-Viewer-Cert-Issuer", "Cloudfront-Viewer-Cert-Subject", // CloudFront
	"Cloudfront-Viewer-Cert-Present", "Cloudfront-Viewer-Cert-Sha256", "Cloudfront-Viewer-Cert-Pem",
	"Cf-Client-Cert-Der-Base64", "Cf-Client-Cert-Sha256", // Cloudflare
	"X-Client-Cert-Present", "X-Client-Cert-Chain-Verified", "X-Client-Cert-Hash", // Google Cloud load balancing
	"X-Client-Cert-Leaf", "X-Client-Cert-Chain", "X-Client-Cert-Subject-Dn",
	"X-Arr-Clientcert", // Azure App Service
}

func TestForwardedHeaderNames(t *testing.T) {
	for _, name := range fwdNames {
		if !IsForwardedCertificateHeader(name) {
			t.Errorf("%s is listed and not recognised", name)
		}
	}
	for _, name := range []string{
		"x_forwarded_client_cert", "X.Client.Cert", "X-SSL-Client_Cert", "SSL_CLIENT_VERIFY", "X-Amzn-Mtls-Anything",
		"X-Client-Certificate-Chain", "CloudFront-Viewer-Cert-Pem", "Client_Cert", "Cert-Chain-0", "X-ARR-ClientCert",
	} {
		if !IsForwardedCertificateHeader(name) {
			t.Errorf("%s is not recognised", name)
		}
	}
	for _, name := range []string{"", "Client", "X-Client-Id", "X-Forwarded-For", "X-Forwarded-Ssl", "Authorization", "Cert", "X-Amzn-Trace-Id"} {
		if IsForwardedCertificateHeader(name) {
			t.Errorf("%s is recognised", name)
		}
	}
	if n := testing.AllocsPerRun(10, func() { IsForwardedCertificateHeader("X_Forwarded_Client_Cert") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkForwardedParse(b *testing.B) {
	root := newCertCA(b, "Device Root", nil)
	h := http.Header{"Client-Cert": {fwdSF(root.issue(b))}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dialectRFC9440.Parse(h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIsForwardedCertificateHeader(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		IsForwardedCertificateHeader("Accept-Encoding")
	}
}
