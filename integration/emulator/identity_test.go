package emulator

import (
	"crypto/x509"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestUserToken(t *testing.T) {
	c := serve(t, Options{Devices: 10})
	d := c.device(CaseHealthy)
	parse := func(text string) (jwt.MapClaims, string) {
		claims := jwt.MapClaims{}
		tok, _, err := jwt.NewParser().ParseUnverified(text, claims)
		if err != nil {
			t.Fatal(err)
		}
		return claims, tok.Header["kid"].(string)
	}
	published := func() string {
		_, doc := c.get("/login/" + DefaultTenant + "/discovery/v2.0/keys")
		keys := doc["keys"].([]any)
		return keys[0].(map[string]any)["kid"].(string)
	}
	v1, kid := parse(c.s.UserToken(c.base, TokenV1, d.User, d, nil))
	if v1["iss"] != "https://sts.windows.net/"+DefaultTenant+"/" || v1["deviceid"] != d.EntraID.String() || v1["amr"] == nil || kid != published() {
		t.Errorf("version 1: %v", v1)
	}
	v2, _ := parse(c.s.UserToken(c.base, TokenV2, d.User, nil, map[string]any{"acrs": []string{"c1"}, "acct": nil}))
	if v2["iss"] != c.base+"/login/"+DefaultTenant+"/v2.0" || v2["deviceid"] != nil || v2["amr"] != nil || v2["acrs"] == nil || v2["acct"] != nil {
		t.Errorf("version 2: %v", v2)
	}
	before := c.signIn(graphScope)
	c.s.RollKey()
	if _, next := parse(c.s.UserToken(c.base, TokenV2, d.User, nil, nil)); next == kid || next != published() {
		t.Errorf("after the roll: key %s, published %s", next, published())
	}
	if status, _ := before.get("/graph/v1.0/devices?$select=id"); status != 200 {
		t.Errorf("a token of the old key: %d", status)
	}
	c.s.Update(func(*Fleet) { d.User.Groups = slices.Repeat([]GUID{GroupFinance}, 201) })
	if many, _ := parse(c.s.UserToken(c.base, TokenV2, d.User, nil, nil)); many["groups"] != nil || many["_claim_names"] == nil {
		t.Errorf("overage: %v", many)
	}
}

func TestDeviceCertificates(t *testing.T) {
	s := New(Options{Devices: 40})
	d := s.Devices()[0]
	mdm, entra := d.Managed[0].ID.String(), d.EntraID.String()
	tests := map[CertificateForm]struct {
		subject, uri string
		fails        bool // to verify as a client certificate
	}{
		FormSANIntune: {d.Name, "intunedeviceid://" + mdm, false}, FormSANBare: {d.Name, mdm, false},
		FormSANCisco: {d.Name, "id:Microsoft Endpoint Manager:GUID:" + mdm, false}, FormSANWithSID: {d.Name, "intunedeviceid://" + mdm, false},
		FormUpperCase: {d.Name, "intunedeviceid://" + strings.ToUpper(mdm), false}, FormSubjectEntra: {entra, "", false},
		FormSubjectMDM: {mdm, "", false}, FormDNSEntra: {d.Name, "", false}, FormIntuneMDM: {mdm, "", false}, FormForeignMDM: {mdm, "", false},
		FormRegistration: {entra, "", false}, FormExpired: {d.Name, "intunedeviceid://" + mdm, true}, FormWrongUsage: {d.Name, "intunedeviceid://" + mdm, true},
	}
	for _, form := range CertificateForms() {
		want, ok := tests[form]
		if !ok {
			t.Errorf("%s is not tested", form)
			continue
		}
		pair, err := s.DeviceCertificate(form, d)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		between := x509.NewCertPool()
		for _, der := range pair.Certificate[1:] {
			ca, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			between.AddCert(ca)
		}
		_, err = cert.Verify(x509.VerifyOptions{Roots: s.Roots(), Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if (err != nil) != want.fails {
			t.Errorf("%s: verify: %v", form, err)
		}
		hasURI := slices.ContainsFunc(cert.URIs, func(u *url.URL) bool { return u.String() == want.uri })
		if cert.Subject.CommonName != want.subject || want.uri != "" && !hasURI {
			t.Errorf("%s: subject %s, URIs %v; want %s, %s", form, cert.Subject.CommonName, cert.URIs, want.subject, want.uri)
		}
	}
	if _, err := s.DeviceCertificate(FormSANIntune, &Device{}); err == nil {
		t.Error("a certificate for a device without identifiers")
	}
}
