package caddyfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSourcesRefusedAtLoad: what only loading can see of tenants and of sources
// over the network. Nothing remote is asked.
func TestSourcesRefusedAtLoad(t *testing.T) {
	const (
		network   = "policy p {\nrequire network 10.0.0.0/8\n}\n"
		tenant    = "microsoft {\ntenant corp.example\nclient_id a\nclient_secret {env.SHORT}\n}\n"
		second    = "microsoft second {\nmanaged_identity\n}\n"
		issuer    = "issuer corp https://idp.corp.example {\naudience a\ndevice_claim d entra\n}\n"
		configmgr = "source configmgr https://cm01.corp.example/AdminService {\n"
		kerberos  = "kerberos a@CORP.EXAMPLE a.keytab\n"
		httpjson  = "source httpjson mdm https://mdm.corp.example/{id} {\nkinds serial\nmap managed /m\n"
	)
	credential := func(lines string) string {
		return "microsoft {\ntenant corp.example\nclient_id a\n" + lines + "\n}\n" + network
	}
	tests := []struct {
		name, option string
		want         []string // all in the error; Caddyfile:N is a place
	}{
		{"no tenant at all", "source intune\n" + network, []string{"source intune (Caddyfile:7)", "needs a microsoft block"}},
		{"no tenant of a named source", "source nac {\nname access\n}\n" + network, []string{"source access (Caddyfile:7)", "needs a microsoft block"}},
		{
			"two tenants", tenant + second + "source entra\n" + network,
			[]string{"source entra (Caddyfile:15)", "several microsoft blocks", "tenant NAME (microsoft, second)"},
		},
		{
			"unknown tenant", tenant + "source entra {\ntenant other\n}\n" + network,
			[]string{"source entra (Caddyfile:12)", `no microsoft block is called "other"; known: microsoft`},
		},
		{
			"unknown tenant of two", tenant + second + "source nac {\ntenant other\n}\n" + network,
			[]string{"source nac (Caddyfile:15)", `no microsoft block is called "other"; known: microsoft, second`},
		},
		{
			"pinned certificates and sources of two tenants",
			tenant + "microsoft second {\ntenant other.example\nclient_id a\nclient_secret {env.SHORT}\n}\n" +
				"source entra {\ntenant microsoft\npinned_certificates experimental\n}\nsource intune {\ntenant second\n}\n" + network,
			[]string{"source entra (Caddyfile:17)", "pinned_certificates needs all sources to read one tenant", "source intune (Caddyfile:21) reads other.example", "corp.example"},
		},
		{
			"pinned certificates that are read too rarely", tenant + "source entra {\npoll 15m\npinned_certificates experimental\n}\n" + network,
			[]string{"source entra (Caddyfile:12)", "pinned_certificates needs a poll of at most 12m"},
		},
		{"empty secret", credential("client_secret {env.EMPTY}"), []string{"microsoft (Caddyfile:7)", "client_secret", "{env.EMPTY}"}},
		{"empty tenant", "microsoft {\ntenant {env.EMPTY}\nclient_id a\nclient_secret {env.SHORT}\n}\n" + network, []string{"microsoft (Caddyfile:7)", "tenant", "{env.EMPTY}"}},
		{"empty client id", "microsoft {\ntenant a\nclient_id {env.EMPTY}\nclient_secret {env.SHORT}\n}\n" + network, []string{"microsoft (Caddyfile:7)", "client_id", "{env.EMPTY}"}},
		{"empty certificate", credential("certificate {env.EMPTY}"), []string{"microsoft (Caddyfile:7)", "certificate", "{env.EMPTY}"}},
		{
			"empty certificate password", credential("certificate a.pfx\ncertificate_password {env.EMPTY}"),
			[]string{"microsoft (Caddyfile:7)", "certificate_password", "{env.EMPTY}"},
		},
		{
			"shared tenant", "microsoft corp {\ntenant common\nclient_id a\nclient_secret {env.SHORT}\n}\n" + network,
			[]string{"microsoft corp (Caddyfile:7)", `"common" is shared by all`},
		},
		{
			"tenant is no name", "microsoft {\ntenant https://corp.example/\nclient_id a\nclient_secret {env.SHORT}\n}\n" + network,
			[]string{"microsoft (Caddyfile:7)", "neither an id nor a domain"},
		},
		{
			"endpoint without TLS", credential("client_secret {env.SHORT}\nendpoint graph http://graph.corp.example"),
			[]string{"microsoft (Caddyfile:7)", "graph URL", "https://"},
		},
		{
			"empty endpoint", credential("client_secret {env.SHORT}\nendpoint graph {env.EMPTY}"),
			[]string{"microsoft (Caddyfile:7)", "endpoint graph", "{env.EMPTY}"},
		},
		{"authorities missing", credential("client_secret {env.SHORT}\nca_file no.pem"), []string{"microsoft (Caddyfile:7)", "ca_file", "no.pem"}},
		{"authorities empty", credential("client_secret {env.SHORT}\nca_file empty.pem"), []string{"microsoft (Caddyfile:7)", "empty.pem holds no certificate"}},
		{"two sources of one name", tenant + "source intune\nsource intune\n" + network, []string{`two sources are called "intune"`, "give one of them another name"}},
		{
			"fact that Intune does not report", issuer + tenant + "source intune\npolicy p {\nrequire user\nrequire updated\n}",
			[]string{"Caddyfile:19: require updated: no source supplies updated (configured sources: intune)"},
		},
		{
			"groups in a tenant without an id", tenant + "source entra {\ngroups_overage on\n}\n" + network,
			[]string{"source entra (Caddyfile:12)", "groups_overage on needs the tenant's id, a GUID", `"corp.example"`},
		},
		{
			"ages shorter than the time between two looks at groups",
			issuer + "microsoft {\ntenant 11111111-1111-4111-8111-111111111111\nclient_id a\nclient_secret {env.SHORT}\n}\nsource entra {\ngroups_overage on\n}\n" +
				"policy p {\nrequire group 11111111-aaaa-4aaa-8aaa-000000000001\nfreshness critical\n}",
			[]string{"max_age 1m is too short for the poll interval 1m of source entra, which supplies groups of users"},
		},
		{
			"risk of users that are not read", issuer + tenant + "source entra {\nusers off\n}\npolicy p {\nrequire user\nrequire user_risk at_most low\n}",
			[]string{"Caddyfile:21: require user_risk", "no source supplies user_risk", "(configured sources: entra)"},
		},
		{
			"malware that is not read", issuer + tenant + "source intune {\nwindows_protection off\n}\npolicy p {\nrequire user\nrequire not malware\n}",
			[]string{"Caddyfile:21: require not malware", "no source supplies malware", "(configured sources: intune)"},
		},
		{
			"ages shorter than the time between two polls", issuer + tenant + "source intune\npolicy p {\nrequire user\nrequire managed\nfreshness sensitive\n}",
			[]string{"policy p: max_age 5m is too short for the poll interval 5m of source intune, which supplies managed; the shortest is 6m15s"},
		},
		{
			"site without TLS", "source configmgr http://cm01.corp.example/AdminService {\n" + kerberos + "}\n" + network,
			[]string{"source configmgr (Caddyfile:7)", "must begin with https://"},
		},
		{"site from an empty variable", "source configmgr {env.EMPTY} {\n" + kerberos + "}\n" + network, []string{"source configmgr (Caddyfile:7)", "{env.EMPTY}"}},
		{"keytab from an empty variable", configmgr + "kerberos a@CORP.EXAMPLE {env.EMPTY}\n}\n" + network, []string{"source configmgr (Caddyfile:7)", "{env.EMPTY}"}},
		{"password from an empty variable", configmgr + "basic svc {env.EMPTY}\n}\n" + network, []string{"source configmgr (Caddyfile:7)", "{env.EMPTY}"}},
		{
			"service principal", configmgr + "kerberos a@CORP.EXAMPLE a.keytab {\nspn cm01.corp.example\n}\n}\n" + network,
			[]string{"source configmgr (Caddyfile:7)", "not of the form HTTP/host"},
		},
		{"authorities of the site missing", configmgr + kerberos + "ca_file no.pem\n}\n" + network, []string{"source configmgr (Caddyfile:7)", "ca_file", "no.pem"}},
		{"token from an empty variable", httpjson + "bearer {env.EMPTY}\n}\n" + network, []string{"source mdm (Caddyfile:7)", "{env.EMPTY}"}},
		{"header from an empty variable", httpjson + "header X-Key {env.EMPTY}\n}\n" + network, []string{"source mdm (Caddyfile:7)", "header X-Key", "{env.EMPTY}"}},
		{"host from an empty variable", "source httpjson mdm https://{env.EMPTY}/{id} {\nkinds serial\nmap managed /m\n}\n" + network, []string{"source mdm (Caddyfile:7)", "{env.EMPTY}"}},
		{"authorities of the service empty", httpjson + "ca_file empty.pem\n}\n" + network, []string{"source mdm (Caddyfile:7)", "empty.pem holds no certificate"}},
	}
	dir := bench(t)
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			file := fmt.Sprintf("Caddyfile.s%d", i)
			out, ok := validate(t, dir, file, option(tc.option)+site)
			if ok {
				t.Fatalf("accepted: %s", out)
			}
			out = strings.ReplaceAll(out, file, "Caddyfile")
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("the error does not say %q: %s", want, out)
				}
			}
		})
	}
}

// TestSourcesInJSONAreStrict: what the Caddyfile refuses, JSON refuses too.
func TestSourcesInJSONAreStrict(t *testing.T) {
	dir := bench(t)
	good := `{"admin":{"disabled":true},"apps":{"compliance":{"keys":{"dir":"keys"},"state_dir":"state",
		"microsoft":[{"tenant":"corp.example","client_id":"a","client_secret":"{env.SHORT}"}],
		"sources":[{"source":"intune","poll":300000000000},{"source":"entra","users":true},{"source":"nac","name":"access"},
			{"source":"configmgr","url":"https://cm01.corp.example/AdminService","username":"svc","password":"{env.SHORT}"},
			{"source":"httpjson","name":"mdm","url":"https://mdm.corp.example/{id}","kinds":["serial"],"map":[{"name":"managed","from":"/m"}]}],
		"policies":[{"name":"p","lines":[{"words":["require","network","10.0.0.0/8"]}]}]}}}`
	if out, ok := validate(t, dir, "good.json", good); !ok {
		t.Fatalf("the good configuration is refused: %s", out)
	}
	tests := []struct{ name, old, new, want string }{
		{"tenant", `"tenant":"corp.example"`, `"tenant":"corp.example","secret":"x"`, `unknown field "secret"`},
		{"literal secret", `"{env.SHORT}"}]`, `"x"}]`, "a secret would be readable"},
		{"no credential", `,"client_secret":"{env.SHORT}"`, ``, "exactly one of client_secret, certificate, managed_identity and workload_identity"},
		{"two credentials", `"client_id":"a"`, `"client_id":"a","managed_identity":true`, "exactly one of"},
		{"two tenants of one name", `"microsoft":[`, `"microsoft":[{"managed_identity":true},`, "microsoft is defined twice"},
		{"cloud", `"client_id":"a"`, `"client_id":"a","cloud":"moon"`, `unknown cloud "moon"`},
		{"endpoint", `"client_id":"a"`, `"client_id":"a","endpoints":{"grafana":"https://a.example"}`, `unknown endpoint "grafana"`},
		{"intune", `"poll":300000000000`, `"interval":1`, `unknown field "interval"`},
		{"poll", `"poll":300000000000`, `"poll":1`, "poll is below 1s"},
		{"negative poll", `"poll":300000000000`, `"poll":-1`, "poll is below 1s"},
		{"negative sweep", `"poll":300000000000`, `"full_sweep":-1`, "negative interval"},
		{"patch level", `"poll":300000000000`, `"android_patch_within":1000000000`, "android_patch_within is below 30d"},
		{"negative patch level", `"poll":300000000000`, `"android_patch_within":-1`, "android_patch_within is below 30d"},
		{"remote sync", `"poll":300000000000`, `"remote_sync":"on"`, "remote_sync"},
		{"entra", `"users":true`, `"user":true`, `unknown field "user"`},
		{"name", `"name":"access"`, `"name":"network access"`, "bad source name"},
		{"configmgr", `"username":"svc"`, `"user":"svc"`, `unknown field "user"`},
		{"configmgr without account", `,"username":"svc","password":"{env.SHORT}"`, ``, "exactly one of kerberos, bearer_file and basic"},
		{"configmgr password", `"password":"{env.SHORT}"`, `"password":"x"`, "a password would be readable"},
		{"httpjson", `"kinds":["serial"]`, `"kind":"serial"`, `unknown field "kind"`},
		{"httpjson field", `"from":"/m"`, `"pointer":"/m"`, `unknown field "pointer"`},
		{"portal without a name", `"kinds":["serial"]`, `"kinds":["serial"],"portal":{"url":"https://mdm.corp.example"}`, "portal: the name must be"},
		{"portal without TLS", `"kinds":["serial"]`, `"kinds":["serial"],"portal":{"name":"Hub","url":"http://mdm.corp.example"}`, "portal: the address must be an https URL"},
		{"portal that no page names", `"map":[{"name":"managed","from":"/m"}]`, `"portal":{"name":"Hub"},"map":[{"name":"encrypted","from":"/e"}]`, "portal: no page would name it"},
		{"portal field", `"kinds":["serial"]`, `"kinds":["serial"],"portal":{"name":"Hub","link":"x"}`, `unknown field "link"`},
		{"httpjson without name", `"name":"mdm",`, ``, "it needs a name"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			src := strings.Replace(good, tc.old, tc.new, 1)
			if src == good {
				t.Fatalf("nothing to replace: %s", tc.old)
			}
			out, ok := validate(t, dir, "bad.json", src)
			if ok || !strings.Contains(out, tc.want) {
				t.Errorf("accepted %v, want an error with %q: %s", ok, tc.want, out)
			}
		})
	}
}

// TestExampleSources: the sources that stand in Caddyfile.example as comments
// load as they are written there, all at once.
func TestExampleSources(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	inside, blocks := false, 0
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimRight(line, "\n")
		body, comment := strings.CutPrefix(strings.TrimLeft(line, "\t"), "#")
		switch opens := strings.HasSuffix(line, "{"); {
		case comment && !inside && opens && (strings.HasPrefix(body, " source ") || strings.HasPrefix(body, " microsoft ")):
			inside = true
			blocks++
		case inside && !comment:
			t.Fatalf("a commented block ends without a brace before %q", line)
		case !inside:
			lines = append(lines, line)
			continue
		}
		inside = body != " }"
		lines = append(lines, body)
	}
	if blocks < 9 {
		t.Fatalf("only %d commented blocks", blocks)
	}
	dir := bench(t)
	src := strings.Join(lines, "\n")
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	src = strings.NewReplacer(
		"examples/files/", filepath.Join(root, "examples/files")+"/",
		"/etc/gatehouse/proxy-ca.pem", filepath.Join(dir, "ca.pem"), "/etc/gatehouse/sms-issuing.pem", filepath.Join(dir, "ca.pem"),
		"/run/secrets/", dir+"/",
	).Replace(src)
	for _, name := range []string{"TENANT_ID", "CERTIFICATE_PASSWORD", "SITE_PASSWORD", "SENSOR_SECRET", "ASSETS_PASSWORD"} {
		t.Setenv(name, "corp.example")
	}
	out, ok := validate(t, dir, "Caddyfile.example", src)
	if !ok {
		t.Errorf("refused: %s", out)
	}
}
