package identity

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func certErrorReason(t testing.TB, err error) string {
	t.Helper()
	if errors.Is(err, ErrForeign) {
		return "foreign"
	}
	var refused *CertificateError
	if !errors.As(err, &refused) {
		t.Fatalf("error %v is neither ErrForeign nor a CertificateError", err)
	}
	if !slices.Contains([]string{
		CertificateExpired, CertificateNotYetValid, CertificateRevoked, CertificateUsage, CertificateUnmapped,
		CertificateTenant, CertificateChainTooLong, CertificateMalformed, CertificateCRLUnavailable,
	}, refused.Reason) {
		t.Errorf("reason %q is not in the list", refused.Reason)
	}
	if refused.Unavailable != (refused.Reason == CertificateCRLUnavailable) {
		t.Errorf("reason %s has unavailable = %v", refused.Reason, refused.Unavailable)
	}
	return refused.Reason
}

func TestCertificateOutcomes(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	issuing := newCertCA(t, "Device Issuing", root)
	oldIssuing := newCertCA(t, "Old Issuing", root, func(c *x509.Certificate) { c.NotAfter = certT0.Add(-time.Hour) })
	serverIssuing := newCertCA(t, "Server Issuing", root, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	stranger := newCertCA(t, "Device Root", nil) // the same name, another key
	var long []*x509.Certificate
	deep := root
	for i := range 4 {
		deep = newCertCA(t, fmt.Sprintf("Level %d", i), deep)
		long = append([]*x509.Certificate{deep.cert}, long...)
	}
	employee := &certCA{cert: root.issue(t), key: certLeafKey()}
	eku := func(usages ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
	}
	dates := func(from, until time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = certT0.Add(from), certT0.Add(until) }
	}
	many := make([]asn1.RawValue, maxCertNames+1)
	for i := range many {
		many[i] = sanName(2, fmt.Sprintf("a%d.example", i))
	}

	pinned := stranger.issue(t)
	hugeKey := signCert(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: certID}, NotBefore: certT0.Add(-time.Hour), NotAfter: certT0.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, root, &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), maxCertRSA, 1), E: 65537})

	tests := []struct {
		name  string
		chain []*x509.Certificate
		want  string
	}{
		{"from the root", []*x509.Certificate{root.issue(t)}, "ok"},
		{"from an intermediate that is sent", []*x509.Certificate{issuing.issue(t), issuing.cert}, "ok"},
		{"root sent too", []*x509.Certificate{issuing.issue(t), issuing.cert, root.cert}, "ok"},
		{"intermediate missing", []*x509.Certificate{issuing.issue(t)}, "foreign"},
		{"other authority of the same name", []*x509.Certificate{stranger.issue(t)}, "foreign"},
		{"other authority, expired", []*x509.Certificate{stranger.issue(t, dates(-2*time.Hour, -time.Hour))}, "foreign"},
		{
			"other authority, unknown critical extension",
			[]*x509.Certificate{stranger.issue(t, withCertExtension(asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0}))},
			"foreign",
		},
		{"expired", []*x509.Certificate{root.issue(t, dates(-2*time.Hour, -time.Second))}, "expired"},
		{"last second", []*x509.Certificate{root.issue(t, dates(-2*time.Hour, 0))}, "ok"},
		{"first second", []*x509.Certificate{root.issue(t, dates(0, time.Hour))}, "ok"},
		{"not yet valid", []*x509.Certificate{root.issue(t, dates(time.Second, time.Hour))}, "not_yet_valid"},
		{"issuing authority expired", []*x509.Certificate{oldIssuing.issue(t), oldIssuing.cert}, "expired"},
		{"no usage", []*x509.Certificate{root.issue(t, eku())}, "usage"},
		{"any usage", []*x509.Certificate{root.issue(t, eku(x509.ExtKeyUsageAny))}, "usage"},
		{"server usage", []*x509.Certificate{root.issue(t, eku(x509.ExtKeyUsageServerAuth))}, "usage"},
		{"mail usage", []*x509.Certificate{root.issue(t, eku(x509.ExtKeyUsageEmailProtection))}, "usage"},
		{"client and server usage", []*x509.Certificate{root.issue(t, eku(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))}, "ok"},
		{"authority for servers only", []*x509.Certificate{serverIssuing.issue(t), serverIssuing.cert}, "usage"},
		{"an authority as client", []*x509.Certificate{
			newCertCA(t, certID, root, eku(x509.ExtKeyUsageClientAuth)).cert,
		}, "usage"},
		{"the root as client", []*x509.Certificate{root.cert}, "usage"},
		{"signed with an employee's key", []*x509.Certificate{employee.issue(t, withCN(certOther)), employee.cert}, "foreign"},
		{
			"unknown critical extension",
			[]*x509.Certificate{root.issue(t, withCertExtension(asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0}))},
			"malformed",
		},
		{"too many certificates", append([]*x509.Certificate{deep.issue(t)}, append(long, root.cert)...), "chain_too_long"},
		{"chain too long with the root", append([]*x509.Certificate{deep.issue(t)}, long...), "chain_too_long"},
		{"too large", []*x509.Certificate{
			root.issue(t, withCertExtension(asn1.ObjectIdentifier{1, 2, 3}, false, make([]byte, maxCertBytes))),
		}, "malformed"},
		{"too many names", []*x509.Certificate{root.issue(t, withSAN(false, many...))}, "malformed"},
		{"no id", []*x509.Certificate{root.issue(t, withCN("reception"))}, "unmapped"},
		{"too many certificates, most of no use", []*x509.Certificate{
			root.issue(t), root.cert, root.cert, root.cert, root.cert, root.cert,
		}, "chain_too_long"},
		{"a leaf that is trusted by itself", []*x509.Certificate{pinned}, "usage"},
		{"large RSA key", []*x509.Certificate{hugeKey}, "malformed"},
		{"nil in the chain", []*x509.Certificate{root.issue(t), nil}, "malformed"},
	}
	c := newTestCertificates(t, certOptions(root, &certCA{cert: pinned}))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert, err := c.FromTLS(certState(tt.chain...), certT0)
			if got := certReason(t, cert, err); got != tt.want {
				t.Errorf("from TLS: got %s (%v), want %s", got, err, tt.want)
			}
			cert, err = c.FromForwarded(tt.chain, certT0)
			if got := certReason(t, cert, err); got != tt.want {
				t.Errorf("forwarded: got %s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

func TestCertificateAbsentOrUnverified(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	c := newTestCertificates(t, certOptions(root))
	leaf := root.issue(t)
	selfMade := newCertCA(t, certID, nil).cert
	for name, tt := range map[string]struct {
		state *tls.ConnectionState
		want  string
	}{
		"plain connection":                {nil, "none"},
		"no certificate":                  {&tls.ConnectionState{}, "none"},
		"self-made, mode request":         {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{selfMade}}, "foreign"},
		"ours, but the layer did not say": {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, "foreign"},
		"ours":                            {certState(leaf), "ok"},
		"known, but now unverified":       {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, "foreign"},
	} {
		cert, err := c.FromTLS(tt.state, certT0)
		if got := certReason(t, cert, err); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
	if cert, err := c.FromForwarded(nil, certT0); cert != nil || err != nil {
		t.Errorf("no forwarded chain: got %v, %v", cert, err)
	}
}

// A warm cache must not outlive any certificate of the chain, and a zero time
// must not count as the present.
func TestCertificateWarmCacheExpires(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	issuing := newCertCA(t, "Issuing", root, func(c *x509.Certificate) { c.NotAfter = certT0.Add(time.Minute) })
	leaf := issuing.issue(t)
	c := newTestCertificates(t, certOptions(root))
	state := certState(leaf, issuing.cert)
	for _, tt := range []struct {
		now  time.Time
		want string
	}{
		{certT0, "ok"},
		{certT0.Add(time.Minute), "ok"},
		{certT0.Add(time.Minute + time.Second), "expired"},
		{certT0, "ok"},
		{certT0.AddDate(-6, 0, 0), "not_yet_valid"},
		{time.Time{}, "not_yet_valid"},
	} {
		cert, err := c.FromTLS(state, tt.now)
		if got := certReason(t, cert, err); got != tt.want {
			t.Errorf("at %s: got %s, want %s", tt.now, got, tt.want)
		}
	}
	lasting := newCertCA(t, "Lasting Root", nil, func(c *x509.Certificate) { c.NotAfter = certT0.AddDate(1000, 0, 0) })
	always := lasting.issue(t, func(c *x509.Certificate) { c.NotAfter = certT0.AddDate(1000, 0, 0) })
	cold := newTestCertificates(t, certOptions(lasting))
	cert, err := cold.FromTLS(certState(always), time.Time{})
	if got := certReason(t, cert, err); got != CertificateNotYetValid {
		t.Errorf("cold cache at the zero time: got %s, want not_yet_valid", got)
	}
}

// An authority's certificate ends and its successor, with the same key, takes
// over: the leaf stays good.
func TestCertificateRenewedAuthority(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	first := newCertCA(t, "Issuing", root, func(c *x509.Certificate) { c.NotAfter = certT0.Add(time.Minute) })
	renewed := signCert(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Issuing", Organization: []string{"Example"}}, SubjectKeyId: first.cert.SubjectKeyId,
		NotBefore: certT0.AddDate(0, -1, 0), NotAfter: certT0.AddDate(3, 0, 0),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}, root, &first.key.PublicKey)
	leaf := first.issue(t)
	o := certOptions(root)
	o.Users = []UserMapping{{From: FieldSubjectCN}}
	c := newTestCertificates(t, o)
	old, err := c.FromTLS(certState(leaf, first.cert), certT0)
	if err != nil {
		t.Fatal(err)
	}
	later := certT0.Add(time.Hour)
	fresh, err := c.FromTLS(certState(leaf, renewed), later)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.User.ID != old.User.ID {
		t.Errorf("the user's id changed from %s to %s", old.User.ID, fresh.User.ID)
	}
	if again, err := c.FromForwarded([]*x509.Certificate{leaf}, later); err != nil || again != fresh {
		t.Errorf("the renewed chain is not kept: %v, %v", again, err)
	}
}

func TestCertificateAllowAnyEKU(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	o := certOptions(root)
	o.AllowAnyEKU = true
	c := newTestCertificates(t, o)
	for name, tt := range map[string]struct {
		usages []x509.ExtKeyUsage
		want   string
	}{
		"none":   {nil, "ok"},
		"any":    {[]x509.ExtKeyUsage{x509.ExtKeyUsageAny}, "ok"},
		"client": {[]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, "ok"},
		"server": {[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, "usage"},
	} {
		cert, err := c.FromTLS(certState(root.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = tt.usages })), certT0)
		if got := certReason(t, cert, err); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

func TestCertificateConfiguredIntermediates(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	issuing := newCertCA(t, "Issuing", root)
	o := certOptions(root)
	o.Intermediates = x509.NewCertPool()
	o.Intermediates.AddCert(issuing.cert)
	c := newTestCertificates(t, o)
	cert, err := c.FromTLS(certState(issuing.issue(t)), certT0)
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.Chain) != 3 || !cert.Chain[2].Equal(root.cert) {
		t.Errorf("got a chain of %d, want leaf, issuing, root", len(cert.Chain))
	}
}

func TestCertificateIsShared(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	c := newTestCertificates(t, certOptions(root))
	leaf := root.issue(t)
	again, err := x509.ParseCertificate(leaf.Raw) // another connection without crypto/tls's own cache
	if err != nil {
		t.Fatal(err)
	}
	got := make([]*Certificate, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			chain := []*x509.Certificate{leaf}
			if i%2 == 1 {
				chain[0] = again
			}
			cert, err := c.FromTLS(certState(chain...), certT0)
			if err != nil {
				t.Error(err)
			}
			got[i] = cert
		})
	}
	wg.Wait()
	for i := range got {
		if got[i] == nil || got[i] != got[0] {
			t.Fatalf("request %d got another identity", i)
		}
	}
	if want := sha256.Sum256(leaf.Raw); got[0].Thumbprint != want {
		t.Errorf("thumbprint %x, want %x", got[0].Thumbprint, want)
	}
	if want := []decision.Key{{Kind: decision.KindEntra, Value: certID}}; !slices.Equal(got[0].Keys, want) {
		t.Errorf("keys %v, want %v", got[0].Keys, want)
	}
	if !got[0].NotAfter.Equal(leaf.NotAfter) {
		t.Errorf("not after %s, want %s", got[0].NotAfter, leaf.NotAfter)
	}
}

func TestCertificateCacheIsBounded(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	o := certOptions(root)
	o.CacheEntries = 1
	c := newTestCertificates(t, o)
	for range 100 {
		if _, err := c.FromTLS(certState(root.issue(t)), certT0); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for i := range certShards {
		kept += c.cache.pointers[i].Len() + c.cache.thumbprints[i].Len()
	}
	if kept > 2*certShards {
		t.Errorf("cache keeps %d entries, want at most one per shard", kept)
	}
}

func TestCertificateWarmAllocatesNothing(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	o := certOptions(root)
	o.CRLs = []*CRL{newTestCRL(t, root, root.crl(t, 1))}
	c := newTestCertificates(t, o)
	state := certState(root.issue(t))
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := c.FromTLS(state, certT0); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("a known certificate costs %v allocations, want 0", allocs)
	}
}

func TestNewCertificatesRefuses(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	other := newCertCA(t, "Other", nil)
	intune := newCertCA(t, "Microsoft Intune MDM Device CA", nil)
	tests := []struct {
		name   string
		change func(*CertificateOptions)
		want   string
	}{
		{"no pool", func(o *CertificateOptions) { o.Roots = nil }, "no trusted roots"},
		{"empty list", func(o *CertificateOptions) { o.RootCerts = nil }, "no trusted roots"},
		{"pool and list differ", func(o *CertificateOptions) { o.Roots.AddCert(other.cert) }, "differ"},
		{"nil root", func(o *CertificateOptions) { o.RootCerts = append(o.RootCerts, nil) }, "root is nil"},
		{"no mapping", func(o *CertificateOptions) { o.Devices = nil }, "no device or user mapping"},
		{"mapping without field", func(o *CertificateOptions) { o.Devices[0].From = "" }, "unknown field"},
		{"user mapping without field", func(o *CertificateOptions) { o.Users = []UserMapping{{}} }, "unknown field"},
		{"tenant", func(o *CertificateOptions) { o.IntuneTenant = "contoso.example" }, "not a GUID"},
		{"intune without tenant", func(o *CertificateOptions) {
			o.Roots.AddCert(intune.cert)
			o.RootCerts = append(o.RootCerts, intune.cert)
		}, "set the intune tenant"},
		{"intune mapping without tenant", func(o *CertificateOptions) {
			o.Devices = []DeviceMapping{{Kind: decision.KindIntune, From: FieldIntuneMDM}}
		}, "needs the intune tenant"},
		{"nil list", func(o *CertificateOptions) { o.CRLs = []*CRL{nil} }, "list is nil"},
		{"cache", func(o *CertificateOptions) { o.CacheEntries = -1 }, "cache entries"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := certOptions(root)
			tt.change(&o)
			if _, err := NewCertificates(o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// Several common names leave the choice to whoever wrote the subject.
func TestCertificateTwoCommonNames(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	c := newTestCertificates(t, certOptions(root))
	leaf := root.issue(t, func(c *x509.Certificate) {
		c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: oidCommonName, Value: certOther}, {Type: oidCommonName, Value: certID},
		}}
	})
	cert, err := c.FromTLS(certState(leaf), certT0)
	if got := certReason(t, cert, err); got != CertificateUnmapped {
		t.Errorf("got %s, want unmapped", got)
	}
}

func TestCertificateError(t *testing.T) {
	cause := errors.New("cause")
	err := certError(CertificateTenant, cause)
	if got, want := err.Error(), "client certificate: tenant: cause"; got != want || !errors.Is(err, cause) {
		t.Errorf("got %q, want %q around the cause", got, want)
	}
	if got, want := certError(CertificateExpired, nil).Error(), "client certificate: expired"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkCertificateFromTLSWarm(b *testing.B) {
	root := newCertCA(b, "Device Root", nil)
	for name, lists := range map[string][]*CRL{"plain": nil, "crl": {newTestCRL(b, root, root.crl(b, 1))}} {
		b.Run(name, func(b *testing.B) {
			o := certOptions(root)
			o.CRLs = lists
			c := newTestCertificates(b, o)
			state := certState(root.issue(b))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.FromTLS(state, certT0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCertificateFromForwardedWarm(b *testing.B) {
	root := newCertCA(b, "Device Root", nil)
	c := newTestCertificates(b, certOptions(root))
	chain := []*x509.Certificate{root.issue(b)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.FromForwarded(chain, certT0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCertificateFromTLSCold(b *testing.B) {
	root := newCertCA(b, "Device Root", nil)
	issuing := newCertCA(b, "Issuing", root)
	state := certState(issuing.issue(b), issuing.cert)
	o := certOptions(root)
	b.ReportAllocs()
	for b.Loop() {
		c := newTestCertificates(b, o)
		if _, err := c.FromTLS(state, certT0); err != nil {
			b.Fatal(err)
		}
	}
}
