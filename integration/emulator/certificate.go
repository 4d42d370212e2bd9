package emulator

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"
)

// CertificateForm is a way in which a device's certificate carries its identity.
type CertificateForm string

// The forms. Those that stand for a mistake or an attack say so.
const (
	FormSANIntune    CertificateForm = "san_intune"         // URI IntuneDeviceId://<Intune id>
	FormSANBare      CertificateForm = "san_bare"           // URI <Intune id>
	FormSANCisco     CertificateForm = "san_cisco"          // URI ID:Microsoft Endpoint Manager:GUID:<Intune id>
	FormSANWithSID   CertificateForm = "san_with_sid"       // a second URI beside it, with the security identifier
	FormUpperCase    CertificateForm = "upper_case"         // as FormSANIntune, in capitals
	FormSubjectEntra CertificateForm = "subject_entra"      // CN=<Entra id>
	FormSubjectMDM   CertificateForm = "subject_intune"     // CN=<Intune id>
	FormDNSEntra     CertificateForm = "dns_entra"          // DNS <Entra id>.corp.example.com
	FormIntuneMDM    CertificateForm = "intune_mdm"         // Windows MDM certificate with the tenant's id
	FormRegistration CertificateForm = "entra_registration" // by MS-Organization-Access, with its extensions
	FormForeignMDM   CertificateForm = "foreign_mdm"        // attack: MDM certificate of another tenant
	FormExpired      CertificateForm = "expired"            // mistake: as FormSANIntune, a day too old
	FormWrongUsage   CertificateForm = "wrong_usage"        // mistake: for servers, not for clients
)

// CertificateForms are all forms.
func CertificateForms() []CertificateForm {
	return []CertificateForm{
		FormSANIntune, FormSANBare, FormSANCisco, FormSANWithSID, FormUpperCase, FormSubjectEntra, FormSubjectMDM, FormDNSEntra,
		FormIntuneMDM, FormRegistration, FormForeignMDM, FormExpired, FormWrongUsage,
	}
}

// ForeignTenant is the tenant of FormForeignMDM.
const ForeignTenant = "f0e1d2c3-b4a5-4697-8899-aabbccddeeff"

// DeviceCertificate is a client certificate of a device, issued by the emulator's
// authority (see [Server.Roots]). The device must have the identifier that the form
// carries, or it is an error. Not inside [Server.Update].
func (s *Server) DeviceCertificate(form CertificateForm, d *Device) (tls.Certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d.EntraID.IsZero() || len(d.Managed) == 0 {
		return tls.Certificate{}, fmt.Errorf("device %s has no Entra id or no Intune record", d.Name)
	}
	entra, mdm, now := d.EntraID.String(), d.Managed[0].ID.String(), s.o.Clock()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-48 * time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		Subject: pkix.Name{CommonName: d.Name},
	}
	uri := &url.URL{Scheme: "IntuneDeviceId", Host: mdm}
	tenant := s.o.Tenant
	switch form {
	case FormSANIntune:
	case FormSANBare:
		uri = &url.URL{Path: mdm}
	case FormSANCisco:
		uri = &url.URL{Scheme: "ID", Opaque: "Microsoft Endpoint Manager:GUID:" + mdm}
	case FormSANWithSID:
		t.URIs = []*url.URL{{Scheme: "tag", Opaque: "microsoft.com,2022-09-14:sid:" + sid(int(d.slot))}}
	case FormUpperCase:
		uri.Host = strings.ToUpper(mdm)
	case FormExpired:
		t.NotAfter = now.Add(-24 * time.Hour)
	case FormWrongUsage:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	default:
		uri = nil
	}
	if uri != nil {
		t.URIs = append(t.URIs, uri)
	}
	switch form {
	case FormSubjectEntra:
		t.Subject.CommonName = entra
	case FormSubjectMDM:
		t.Subject.CommonName = mdm
	case FormDNSEntra:
		t.DNSNames = []string{entra + ".corp.example.com"}
	case FormForeignMDM:
		tenant = ForeignTenant
		fallthrough
	case FormIntuneMDM:
		t.Subject.CommonName = mdm
		t.ExtraExtensions = []pkix.Extension{
			{Id: asn1.ObjectIdentifier{1, 2, 840, 113556, 5, 4}, Value: mixedEndian(d.Managed[0].ID)},
			{Id: asn1.ObjectIdentifier{1, 2, 840, 113556, 5, 14}, Value: nested(mixedEndian(MustGUID(tenant)))},
		}
	case FormRegistration:
		base := asn1.ObjectIdentifier{1, 2, 840, 113556, 1, 5, 284}
		t.Subject.CommonName = entra
		t.NotAfter = now.AddDate(10, 0, 0)
		t.ExtraExtensions = []pkix.Extension{
			{Id: append(base[:7:7], 2), Value: nested(mixedEndian(d.EntraID))},
			{Id: append(base[:7:7], 5), Value: nested(mixedEndian(MustGUID(tenant)))},
			{Id: append(base[:7:7], 7), Value: []byte("1")},
			{Id: append(base[:7:7], 8), Value: []byte("EU")},
		}
	}
	return s.ca.issue(t, form), nil
}

// CertificateKey is what the directory keeps of a certificate in a device's
// alternativeSecurityIds (Directory.CertificateKey): base64 of UTF-16LE text with the
// SHA-1 of the certificate and the SHA-256 of its public key.
func CertificateKey(cert *x509.Certificate) string {
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &info)
	if err != nil {
		panic(err) // it was parsed once
	}
	key := sha256.Sum256(info.Key.Bytes)
	text := fmt.Sprintf("X509:<SHA1-TP-PUBKEY>%X%s", sha1.Sum(cert.Raw), base64.StdEncoding.EncodeToString(key[:]))
	wide := make([]byte, 0, 2*len(text))
	for i := range len(text) {
		wide = append(wide, text[i], 0)
	}
	return base64.StdEncoding.EncodeToString(wide)
}

// issue signs by an authority of the form's name, so that a client sees the issuer
// that Microsoft's certificates have; the authority of FormIntuneMDM and the like is
// sent along.
func (a *authority) issue(t *x509.Certificate, form CertificateForm) tls.Certificate {
	issuer := *a.cert
	var between []byte
	switch form {
	case FormIntuneMDM, FormForeignMDM:
		issuer.Subject = pkix.Name{CommonName: "Microsoft Intune MDM Device CA"}
	case FormRegistration:
		issuer.Subject = pkix.Name{CommonName: "MS-Organization-Access", OrganizationalUnit: []string{"82dbaca4-3e81-46ca-9c73-0950c1eaca97"}}
	}
	if issuer.Subject.CommonName != a.cert.Subject.CommonName {
		between = a.create(&x509.Certificate{
			SerialNumber: big.NewInt(3), Subject: issuer.Subject, NotBefore: validFrom, NotAfter: validTo,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}, a.cert, &a.key.PublicKey)
		parsed, err := x509.ParseCertificate(between)
		if err != nil {
			panic(err) // it was made just now
		}
		issuer = *parsed
	}
	key := newKey()
	chain := [][]byte{a.create(t, &issuer, &key.PublicKey)}
	if between != nil {
		chain = append(chain, between)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key}
}

// mixedEndian is a GUID as Windows keeps it: the first three parts little-endian.
func mixedEndian(g GUID) []byte {
	b := g[:]
	return []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

// nested is an OCTET STRING in the value of an extension.
func nested(b []byte) []byte { return append([]byte{0x04, byte(len(b))}, b...) }
