package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var writeCertSeeds = flag.Bool("write-certificate-seeds", false, "write the seeds of the certificate fuzz targets to testdata")

// TestWriteCertificateSeeds makes the seeds anew; they are committed.
func TestWriteCertificateSeeds(t *testing.T) {
	if !*writeCertSeeds {
		t.Skip("seeds are written with -write-certificate-seeds only")
	}
	write := func(dir, name string, data []byte) {
		dir = filepath.Join("testdata", dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root := newCertCA(t, "Device Root", nil)
	entra := asn1.ObjectIdentifier{1, 2, 840, 113556, 1, 5, 284, 2}
	octets := append([]byte{4, 16}, certIDBytes...)
	leaf := root.issue(t)
	for name, change := range map[string][]func(*x509.Certificate){
		"common-name":    nil,
		"intune-uri":     {withCN("x"), withURI(t, "IntuneDeviceId://"+certID), withURI(t, "tag:microsoft.com,2022-09-14:sid:S-1-5-21-1")},
		"upn-critical":   {withSAN(true, sanUPN("ada@corp.example"))},
		"all-names":      {withSAN(false, sanName(1, "ada@corp.example"), sanName(2, certID+".d.example"), sanUPN("ada@corp.example"))},
		"two-ids":        {withURI(t, "IntuneDeviceId://"+certID), withURI(t, "IntuneDeviceId://"+certOther)},
		"intune-mdm":     {withCertExtension(oidIntuneDevice, false, certIDBytes), withCertExtension(oidIntuneTenant, false, octets)},
		"entra-device":   {withCertExtension(entra, false, octets)},
		"broken-san":     {withCertExtension(oidSubjectAltName, false, []byte{48, 4, 160, 2, 6, 0})},
		"unknown-crit":   {withCertExtension(asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0})},
		"upn-wrong-type": {withSAN(false, sanOtherName(oidUPN, []byte{22, 1, 'a'}))},
	} {
		write("certificates", name+".der", root.issue(t, change...).Raw)
	}
	write("", "crl-authority.der", root.cert.Raw)
	write("crl", "empty.crl", root.crl(t, 1))
	write("crl", "one.crl", root.crl(t, 2, leaf))
	write("crl", "pem.crl", pem.EncodeToMemory(&pem.Block{Type: crlPEM, Bytes: root.crl(t, 3, leaf)}))
	write("crl", "delta.crl", root.crlWith(t, 4, crlExtension(oidCRLDelta, true, []byte{2, 1, 1})))
	scope := idp(t, idpURI(t, "http://pki.example/a.crl"))
	write("crl", "scope.crl", root.crlWith(t, 5, crlExtension(oidCRLDistribution, true, scope)))
	write("crl", "scope.der", scope)
	write("crl", "partial.der", idp(t, idpFlag(1, 0xff), idpFlag(4, 0)))
	write("crl", "page.html", []byte("<html>"))

	plain := fwdPlus(t, root)
	escaped := fwdEnvoy(fwdPEM(plain))
	for name, text := range map[string]string{
		"rfc9440":       "rfc9440\nClient-Cert: " + fwdSF(plain) + "\nClient-Cert-Chain: " + fwdSF(root.cert) + "\n",
		"rfc9440-twice": "rfc9440\nClient-Cert: :AA==:\nClient-Cert: :AA==:\n",
		"xfcc":          "xfcc\nX-Forwarded-Client-Cert: Hash=" + fwdHash(plain) + `;Cert="` + escaped + `";Subject="CN=a,b\"c"` + "\n",
		"xfcc-hash":     "xfcc\nX-Forwarded-Client-Cert: By=a;Hash=00,By=b;Hash=11\n",
		"nginx":         "nginx\nX-SSL-Client-Cert: " + escaped + "\nX-SSL-Client-Verify: SUCCESS\n",
		"nginx-failed":  "nginx\nX-SSL-Client-Cert: a\nX-SSL-Client-Verify: FAILED:expired\n",
		"alb":           "alb\nX-Amzn-Mtls-Clientcert-Leaf: " + fwdAWS(fwdPEM(plain)) + "\n",
		"alb-chain":     "alb\nX-Amzn-Mtls-Clientcert: " + fwdAWS(fwdPEM(plain, root.cert)) + "\n",
	} {
		write("forwarded", name+".txt", []byte(text))
	}
	write("guid", "raw", certIDBytes)
	write("guid", "octets", octets)
	write("guid", "octets-long", append([]byte{4, 0x81, 16}, certIDBytes...))
	write("guid", "zero", make([]byte, 16))
	write("guid", "short", certIDBytes[:15])
}
