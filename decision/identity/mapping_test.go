package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The forms in which profiles of Intune and its partners put a device id.
func TestDeviceMapping(t *testing.T) {
	sid := withURI(t, "tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104")
	upper := strings.ToUpper(certID)
	cn := func(s string) []func(*x509.Certificate) { return []func(*x509.Certificate){withCN(s)} }
	uri := func(s string, more ...func(*x509.Certificate)) []func(*x509.Certificate) {
		return append(more, withCN("x"), withURI(t, s))
	}
	dns := func(names ...string) []func(*x509.Certificate) {
		return []func(*x509.Certificate){withCN("x"), func(c *x509.Certificate) { c.DNSNames = names }}
	}
	guid := func(s string) string { return "entra:" + s }
	const dotted = "1.2.840.113556.1.5.284.2"
	entraOID := asn1.ObjectIdentifier{1, 2, 840, 113556, 1, 5, 284, 2}

	tests := []struct {
		name  string
		rules []string
		cert  []func(*x509.Certificate)
		want  string // kind:value joined by commas, or the reason
	}{
		{"uri with a scheme", []string{"intune san_uri IntuneDeviceId://"}, uri("IntuneDeviceId://" + certID), "intune:" + certID},
		{"scheme in another case", []string{"intune san_uri IntuneDeviceId://"}, uri("INTUNEDEVICEID://" + upper), "intune:" + certID},
		{"uri with a sid tag beside it", []string{"intune san_uri IntuneDeviceId://"}, uri("IntuneDeviceId://"+certID, sid), "intune:" + certID},
		{"opaque uri", []string{"intune san_uri IntuneDeviceId:"}, uri("IntuneDeviceId:" + certID), "intune:" + certID},
		{"bare uri", []string{"intune san_uri"}, uri(certID), "intune:" + certID},
		{"bare uri with a sid tag", []string{"intune san_uri"}, uri(certID, sid), "intune:" + certID},
		{
			"endpoint manager uri",
			[]string{"intune san_uri regexp ^ID:Microsoft.Endpoint.Manager:GUID:([0-9a-fA-F-]{36})$"},
			[]func(*x509.Certificate){withSAN(false, sanName(6, "ID:Microsoft Endpoint Manager:GUID:"+certID))},
			"intune:" + certID,
		},
		{"entra id as common name", []string{"entra subject_cn"}, cn(certID), guid(certID)},
		{"upper case", []string{"entra subject_cn"}, cn(upper), guid(certID)},
		{"braces", []string{"entra subject_cn"}, cn("{" + upper + "}"), guid(certID)},
		{"intune id as common name", []string{"intune subject_cn"}, cn(certID), "intune:" + certID},
		{"dns with a suffix", []string{"entra san_dns .devices.corp.example"}, dns(certID + ".devices.corp.example"), guid(certID)},
		{"dns suffix in another case", []string{"entra san_dns .devices.corp.example"}, dns(certID + ".Devices.Corp.Example"), guid(certID)},
		{"dns with another suffix", []string{"entra san_dns .devices.corp.example"}, dns(certID + ".devices.corp.example.evil"), "unmapped"},
		{"dns beside other names", []string{"entra san_dns .d.example"}, dns("host.d.example", certID+".d.example"), guid(certID)},
		{
			"email",
			[]string{"asset san_email regexp ^([a-z0-9]+)@assets\\.example$"},
			[]func(*x509.Certificate){func(c *x509.Certificate) { c.EmailAddresses = []string{"pc7@assets.example"} }},
			"asset:pc7",
		},
		{"serial number of the subject", []string{"serial serial_number"}, []func(*x509.Certificate){func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "x", SerialNumber: "c02xk1"}
		}}, "serial:C02XK1"},
		{"prefix of a common name", []string{"asset subject_cn dev-"}, cn("dev-0815"), "asset:0815"},
		{"prefix of a name is exact", []string{"asset subject_cn dev-"}, cn("DEV-0815"), "unmapped"},
		{"prefix and pattern", []string{"asset subject_cn dev- regexp ([0-9]{4})"}, cn("dev-0815"), "asset:0815"},
		{"pattern matches a part only", []string{"asset subject_cn regexp dev-([0-9]{4})"}, cn("dev-0815-evil"), "unmapped"},
		{"alternation in a pattern", []string{"asset subject_cn regexp a|dev-([0-9]+)"}, cn("dev-0815"), "asset:0815"},
		{
			"extension with a guid",
			[]string{"entra extension " + dotted},
			[]func(*x509.Certificate){withCertExtension(entraOID, false, append([]byte{4, 16}, certIDBytes...))},
			guid(certID),
		},
		{
			"extension with text",
			[]string{"entra extension " + dotted},
			[]func(*x509.Certificate){withCertExtension(entraOID, false, append([]byte{12, 36}, certID...))},
			guid(certID),
		},
		{
			"extension with rubbish",
			[]string{"entra extension " + dotted},
			[]func(*x509.Certificate){withCertExtension(entraOID, false, []byte{2, 1, 1}), withCN("x")},
			"unmapped",
		},

		{"id in another field", []string{"entra san_uri"}, cn(certID), "unmapped"},
		{
			"id as mail address",
			[]string{"entra subject_cn"},
			[]func(*x509.Certificate){withCN("x"), func(c *x509.Certificate) { c.EmailAddresses = []string{certID} }},
			"unmapped",
		},
		{"zero guid", []string{"entra subject_cn"}, cn("00000000-0000-0000-0000-000000000000"), "unmapped"},
		{"nul in a name", []string{"asset san_dns"}, []func(*x509.Certificate){withSAN(false, sanName(2, "good\x00.evil"))}, "unmapped"},
		{
			"one id twice",
			[]string{"entra subject_cn", "entra san_uri"},
			[]func(*x509.Certificate){withURI(t, upper)},
			guid(certID),
		},
		{
			"two ids of one kind",
			[]string{"entra subject_cn", "entra san_uri"},
			[]func(*x509.Certificate){withURI(t, certOther)},
			"unmapped",
		},
		{
			"two ids under one mapping",
			[]string{"entra san_uri"},
			[]func(*x509.Certificate){withURI(t, certID), withURI(t, certOther)},
			"unmapped",
		},
		{
			"ids of two kinds",
			[]string{"entra subject_cn", "intune san_uri IntuneDeviceId://"},
			[]func(*x509.Certificate){withURI(t, "IntuneDeviceId://"+certOther)},
			"entra:" + certID + ",intune:" + certOther,
		},
	}
	root := newCertCA(t, "Device Root", nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := certOptions(root)
			o.Devices = nil
			for _, rule := range tt.rules {
				m, err := ParseDeviceMapping(strings.Fields(rule))
				if err != nil {
					t.Fatal(err)
				}
				o.Devices = append(o.Devices, m)
			}
			cert, err := newTestCertificates(t, o).FromTLS(certState(root.issue(t, tt.cert...)), certT0)
			got := certReason(t, cert, err)
			if err == nil {
				var keys []string
				for _, k := range cert.Keys {
					keys = append(keys, k.Kind+":"+k.Value)
				}
				got = strings.Join(keys, ",")
			}
			if got != tt.want {
				t.Errorf("got %s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

// An unexpanded template does not even parse, so the handshake fails before
// any of this runs. If that ever changes, the mapping must still refuse it.
func TestDeviceMappingUnexpandedTemplate(t *testing.T) {
	names := &certNames{uris: []string{"IntuneDeviceId://{{DeviceID}}"}}
	m, err := ParseDeviceMapping([]string{"intune", "san_uri", "IntuneDeviceId://"})
	if err != nil {
		t.Fatal(err)
	}
	rule, err := m.rule()
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := mapDevice([]deviceRule{rule}, &x509.Certificate{}, names); len(keys) > 0 || err != nil {
		t.Errorf("got %v, %v, want nothing", keys, err)
	}
}

func TestParseDeviceMapping(t *testing.T) {
	for line, want := range map[string]string{ // "" means accepted
		"entra subject_cn":                         "",
		"intune san_uri IntuneDeviceId://":         "",
		"entra san_dns .devices.corp.example":      "",
		"asset subject_cn regexp ^dev-(.+)$":       "",
		"asset subject_cn dev- regexp ^(.+)$":      "",
		"intune intune_mdm":                        "",
		"entra extension 1.2.840.113556.1.5.284.2": "",
		"":                                     "want KIND FIELD",
		"entra":                                "want KIND FIELD",
		"entra subject_dn":                     "unknown field",
		"entra san_upn":                        "names a user",
		"en,tra subject_cn":                    "is not a name",
		"asset subject_cn regexp ^dev-.+$":     "exactly one capture group",
		"asset subject_cn regexp ^(dev)-(.+)$": "exactly one capture group",
		"asset subject_cn regexp (":            "missing closing",
		"asset subject_cn regexp":              "unexpected word",
		"asset subject_cn dev- more":           "unexpected word",
		"asset subject_cn regexp ^(.+)$ more":  "unexpected word",
		"entra intune_mdm":                     "holds an intune id",
		"intune intune_mdm x":                  "takes no further words",
		"entra extension":                      "wants one OID",
		"entra extension 1":                    "too short",
		"entra extension 1.x":                  "not dotted numbers",
		"entra extension 1.2 3":                "wants one OID",
		"asset subject_cn regexp (" + strings.Repeat("a", maxCertPattern) + ")": "too long",
	} {
		_, err := ParseDeviceMapping(strings.Fields(line))
		if got := err == nil; got != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", line, err, want)
		}
	}
}

func TestParseUserMapping(t *testing.T) {
	for line, want := range map[string]string{
		"san_upn": "", "san_email": "", "subject_cn": "", "subject_cn regexp ^u-(.+)$": "",
		"":                         "want san_upn",
		"san_uri":                  "names no person",
		"cn":                       "unknown field",
		"san_upn corp":             "unexpected word",
		"subject_cn regexp ^u-.+$": "exactly one capture group",
	} {
		_, err := ParseUserMapping(strings.Fields(line))
		if got := err == nil; got != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", line, err, want)
		}
	}
}

func TestUserMapping(t *testing.T) {
	mails := func(a ...string) func(*x509.Certificate) { return func(c *x509.Certificate) { c.EmailAddresses = a } }
	utf8 := func(tag byte, text string) []byte { return append([]byte{tag, byte(len(text))}, text...) }
	otherOID := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5}
	tests := []struct {
		name  string
		rules []string
		cert  []func(*x509.Certificate)
		want  string // name, "" or the reason
	}{
		{"upn", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false, sanUPN("Ada@corp.example"))}, "Ada@corp.example"},
		{"upn, critical", []string{"san_upn"}, []func(*x509.Certificate){withSAN(true, sanUPN("ada@corp.example"))}, "ada@corp.example"},
		{"upn among others", []string{"san_upn"}, []func(*x509.Certificate){withSAN(true,
			sanName(2, "pc.example"), sanOtherName(otherOID, utf8(12, "ada@xmpp.example")), sanUPN("ada@corp.example"))}, "ada@corp.example"},
		{"another otherName", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false,
			sanOtherName(otherOID, utf8(12, "ada@xmpp.example")))}, ""},
		{"another otherName, critical", []string{"san_upn"}, []func(*x509.Certificate){withSAN(true,
			sanOtherName(otherOID, utf8(12, "ada@xmpp.example")))}, "malformed"},
		{"upn of another type", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false,
			sanOtherName(oidUPN, utf8(22, "ada@corp.example")))}, "malformed"},
		{"upn with broken text", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false,
			sanOtherName(oidUPN, utf8(12, "ada\xff@corp.example")))}, "malformed"},
		{"upn with data behind it", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false,
			sanOtherName(oidUPN, append(utf8(12, "ada@corp.example"), 5, 0)))}, "malformed"},
		{"upn with a line break", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false, sanUPN("ada@corp.example\n"))}, ""},
		{"upn with a comma", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false, sanUPN("ada,root@corp.example"))}, ""},
		{"upn with an invisible letter", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false, sanUPN("ada\u200b@corp.example"))}, ""},
		{"upn with two at signs", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false, sanUPN("ada@corp@example"))}, ""},
		{"two upns", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false, sanUPN("ada@a.example"), sanUPN("eve@a.example"))}, "unmapped"},
		{"one upn twice", []string{"san_upn"}, []func(*x509.Certificate){withSAN(false, sanUPN("ada@a.example"), sanUPN("ADA@a.example"))}, "ada@a.example"},
		{"mail", []string{"san_email"}, []func(*x509.Certificate){mails("ada@corp.example")}, "ada@corp.example"},
		{"common name", []string{"subject_cn"}, []func(*x509.Certificate){withCN("Lovelace, Ada")}, "Lovelace, Ada"},
		{"common name by pattern", []string{"subject_cn regexp ^user-([a-z]+)$"}, []func(*x509.Certificate){withCN("user-ada")}, "ada"},
		{
			"first mapping wins",
			[]string{"san_upn", "san_email"},
			[]func(*x509.Certificate){withSAN(false, sanName(1, "ada.l@corp.example"), sanUPN("ada@corp.example"))},
			"ada@corp.example",
		},
		{"second mapping", []string{"san_upn", "san_email"}, []func(*x509.Certificate){mails("ada.l@corp.example")}, "ada.l@corp.example"},
		{"field not mapped", []string{"san_upn"}, []func(*x509.Certificate){mails("ada@corp.example")}, ""},
	}
	root := newCertCA(t, "User Root", nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := certOptions(root)
			for _, rule := range tt.rules {
				m, err := ParseUserMapping(strings.Fields(rule))
				if err != nil {
					t.Fatal(err)
				}
				o.Users = append(o.Users, m)
			}
			// The subject's GUID identifies a device too, where the case does
			// not replace it.
			cert, err := newTestCertificates(t, o).FromForwarded([]*x509.Certificate{root.issue(t, tt.cert...)}, certT0)
			got := certReason(t, cert, err)
			if err == nil {
				got = cert.User.Name
			}
			if got != tt.want {
				t.Fatalf("got %q (%v), want %q", got, err, tt.want)
			}
			if err != nil || tt.want == "" {
				return
			}
			if u := &cert.User; u.Issuer != decision.IssuerCertificate || !strings.HasPrefix(u.ID, "cert|") ||
				strings.Contains(u.ID, "@") || u.GroupsKnown != decision.Unknown {
				t.Errorf("user is %+v", *u)
			}
		})
	}
}

func TestUserIDIsStable(t *testing.T) {
	one, two := newCertCA(t, "One", nil), newCertCA(t, "Two", nil)
	o := certOptions(one, two)
	o.Devices = nil
	o.Users = []UserMapping{{From: FieldSANUPN}, {From: FieldSANEmail}, {From: FieldSubjectCN}}
	c := newTestCertificates(t, o)
	id := func(ca *certCA, change func(*x509.Certificate)) string {
		cert, err := c.FromTLS(certState(ca.issue(t, change)), certT0)
		if err != nil {
			t.Fatal(err)
		}
		return cert.User.ID
	}
	upn := func(s string) func(*x509.Certificate) { return withSAN(false, sanUPN(s)) }
	first := id(one, upn("ada@corp.example"))
	if got := id(one, upn("ADA@corp.example")); got != first {
		t.Errorf("a renewed certificate has another id: %s, %s", got, first)
	}
	others := []string{
		first, id(one, upn("eve@corp.example")), id(two, upn("ada@corp.example")), id(one, withCN("ada@corp.example")),
		id(one, withSAN(false, sanName(1, "ada@corp.example"))),
	}
	slices.Sort(others)
	if n := len(slices.Compact(others)); n != 5 {
		t.Errorf("%d different ids, want 5", n)
	}
}
