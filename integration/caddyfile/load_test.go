package caddyfile

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// bench is a directory with what the configurations below speak of.
func bench(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca := rig.NewCA(t, "Device CA")
	raw, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	inventory, err := json.Marshal(map[string]any{"version": 1, "devices": []any{map[string]any{
		"ids": map[string]any{"entra": "11111111-1111-4111-8111-111111111111"}, "managed": true, "compliance": "compliant",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"ca.pem": raw, "devices.json": inventory, "empty.pem": nil, "keys.json": []byte("{}"),
		"page.html": []byte("<html>sorry</html>\n"), "half.json": inventory[:len(inventory)/2],
		"bad.csv": []byte("serial,compliance\nA1,compliant\n" + strings.Repeat("only one\n", 9)),
	} {
		err := os.WriteFile(filepath.Join(dir, name), body, 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	err = os.Mkdir(filepath.Join(dir, "fleet"), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// validate runs the real binary's validate in dir and returns the last message; ok
// is true if it accepts the configuration.
func validate(t *testing.T, dir, name, config string) (msg string, ok bool) {
	t.Helper()
	err := os.WriteFile(filepath.Join(dir, name), []byte(config), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"validate", "--config", name}
	if strings.HasPrefix(name, "Caddyfile") {
		args = append(args, "--adapter", "caddyfile")
	}
	cmd := exec.Command(rig.Binary(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "EMPTY=", "SHORT=hunter2")
	raw, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	var last struct{ Msg string }
	if json.Unmarshal([]byte(lines[len(lines)-1]), &last) != nil {
		last.Msg = lines[len(lines)-1]
	}
	if strings.Contains(string(raw), "hunter2") {
		t.Errorf("a secret's value is printed: %s", raw)
	}
	return last.Msg, err == nil
}

const site = "https://a.example {\n\ttls internal\n\tcompliance p\n\trespond ok\n}\n"

func option(inner string) string {
	return "{\n\tadmin off\n\tskip_install_trust\n\tcompliance {\n\t\tkeys dir keys\n\t\tstate state\n" + inner + "\n\t}\n}\n"
}

// TestRefusedAtLoad: what only loading can see is refused with the object's name
// and the place where it was written.
func TestRefusedAtLoad(t *testing.T) {
	const network = "policy p {\nrequire network 10.0.0.0/8\n}\n"
	issuer := "issuer corp https://idp.corp.example {\naudience intranet\njwks file %s\n}\npolicy p {\nrequire user\n}"
	certificate := "client_certificate {\ntrust_pool file %s\ndevice_id entra subject_cn\n}\n" + network
	tests := []struct {
		name, option, site string
		want               []string // all in the error; Caddyfile:N is a place
	}{
		{
			name:   "empty tenant",
			option: "issuer entra {\ntenant {env.EMPTY}\naudience a\n}\npolicy p {\nrequire user\n}",
			want:   []string{"issuer entra (Caddyfile:7)", "{env.EMPTY}"},
		},
		{
			name:   "empty audience",
			option: "issuer corp https://idp.corp.example {\naudience {env.EMPTY}\n}\npolicy p {\nrequire user\n}",
			want:   []string{"issuer corp (Caddyfile:7)", "audience", "{env.EMPTY}"},
		},
		{name: "key set file missing", option: fmt.Sprintf(issuer, "no.json"), want: []string{"issuer corp", "no.json", "(Caddyfile:7)"}},
		{name: "key set without keys", option: fmt.Sprintf(issuer, "keys.json"), want: []string{"issuer corp", "keys.json", "(Caddyfile:7)"}},
		{name: "trust pool missing", option: fmt.Sprintf(certificate, "no.pem"), want: []string{"client_certificate (Caddyfile:7)", "trust_pool", "no.pem"}},
		{name: "trust pool empty", option: fmt.Sprintf(certificate, "empty.pem"), want: []string{"client_certificate (Caddyfile:7)", "empty.pem holds no certificate"}},
		{name: "trust pool from an empty variable", option: fmt.Sprintf(certificate, "{env.EMPTY}"), want: []string{"client_certificate (Caddyfile:7)", "trust_pool", "{env.EMPTY}"}},
		{
			name:   "revocation list from an empty variable",
			option: "client_certificate {\ntrust_pool file ca.pem\ndevice_id entra subject_cn\nrevocation crl {env.EMPTY}\n}\n" + network,
			want:   []string{"client_certificate (Caddyfile:7)", "revocation", "{env.EMPTY}"},
		},
		{
			name:   "Intune tenant empty",
			option: "client_certificate {\ntrust_pool file ca.pem\ndevice_id intune intune_mdm\nintune_tenant {env.EMPTY}\n}\n" + network,
			want:   []string{"client_certificate (Caddyfile:7)", "intune_tenant"},
		},
		{name: "inventory missing", option: "source inventory no.csv\n" + network, want: []string{"source inventory (Caddyfile:7)", "no.csv"}},
		{
			name: "inventory is a directory", option: "source inventory fleet\n" + network,
			want: []string{"source inventory (Caddyfile:7): fleet: source inventory: not loaded: inventory file is a directory; " +
				"correct the file or its path: there is no snapshot of a last good one"},
		},
		{name: "inventory that is nothing we know", option: "source inventory page.html\n" + network, want: []string{"source inventory (Caddyfile:7): page.html: ", "header has no device id"}},
		{name: "inventory that is empty", option: "source inventory empty.pem\n" + network, want: []string{"source inventory (Caddyfile:7): empty.pem: ", "inventory file is empty"}},
		{name: "inventory that is cut off", option: "source inventory half.json\n" + network, want: []string{"source inventory (Caddyfile:7): half.json: ", "inventory file is cut off"}},
		{name: "inventory of bad rows", option: "source inventory bad.csv\n" + network, want: []string{"source inventory (Caddyfile:7): bad.csv: ", "sweep rejected: 9 of 10 records are bad; the first is line "}},
		{name: "inventory from an empty variable", option: "source inventory {env.EMPTY}\n" + network, want: []string{"source inventory (Caddyfile:7)", "{env.EMPTY}"}},
		{
			name: "fact that the source does not report",
			option: "issuer corp https://idp.corp.example {\naudience a\ndevice_claim d entra\n}\nsource inventory devices.json\n" +
				"policy p {\nrequire user\nrequire encrypted\n}",
			want: []string{"Caddyfile:14: require encrypted: no source supplies encrypted (configured sources: inventory)"},
		},
		{
			name: "ages shorter than the time between two reads",
			option: "issuer corp https://idp.corp.example {\naudience a\ndevice_claim d entra\n}\nsource inventory devices.json {\ncheck_interval 10m\n}\n" +
				"policy p {\nrequire user\nrequire managed\nmax_age 5m\n}",
			want: []string{"Caddyfile:17: policy p: max_age 5m is too short for the poll interval 10m of source inventory, which supplies managed; the shortest is 12m30s"},
		},
		{name: "operator token empty", option: "operator_token {env.EMPTY}\n" + network, want: []string{"operator_token", "{env.EMPTY}", "Caddyfile:4"}},
		{name: "operator token short", option: "operator_token {env.SHORT}\n" + network, want: []string{"operator_token is shorter than 16 characters", "Caddyfile:4"}},
		{name: "pages directory missing", option: "pages nowhere\n" + network, want: []string{"pages", "nowhere", "Caddyfile:4"}},
		{
			name: "plain HTTP site", option: network, site: "http://a.example {\n\tcompliance p\n\trespond ok\n}\n",
			want: []string{"Caddyfile:14", "without TLS"},
		},
	}
	dir := bench(t)
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if tc.site == "" {
				tc.site = site
			}
			out, ok := validate(t, dir, fmt.Sprintf("Caddyfile.%d", i), option(tc.option)+tc.site)
			if ok {
				t.Fatalf("accepted: %s", out)
			}
			out = strings.ReplaceAll(out, fmt.Sprintf("Caddyfile.%d", i), "Caddyfile")
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("the error does not say %q: %s", want, out)
				}
			}
		})
	}
}

// TestJSONIsStrict: a member that does not exist is an error wherever it stands.
func TestJSONIsStrict(t *testing.T) {
	dir := bench(t)
	good := `{"admin":{"disabled":true},"apps":{"compliance":{"keys":{"dir":"keys"},"state_dir":"state",
		"sources":[{"source":"inventory","path":"devices.json"}],
		"policies":[{"name":"p","lines":[{"words":["require","network","10.0.0.0/8"]}]}]},
		"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"automatic_https":{"disable":true},
		"routes":[{"handle":[{"handler":"compliance","rules":[{"policy":"p"}]}]}]}}}}}`
	if out, ok := validate(t, dir, "good.json", good); !ok {
		t.Fatalf("the good configuration is refused: %s", out)
	}
	tests := []struct{ name, old, new, want string }{
		{"app", `"state_dir":"state"`, `"state_dir":"state","issuer":[]`, `unknown field "issuer"`},
		{"source", `"path":"devices.json"`, `"path":"devices.json","interval":1`, `unknown field "interval"`},
		{"unknown source", `"source":"inventory"`, `"source":"jamf"`, `compliance.sources.jamf`},
		{"policy", `"name":"p",`, `"name":"p","extends":"q",`, `unknown field "extends"`},
		{"line", `{"words":["require"`, `{"word":"x","words":["require"`, `unknown field "word"`},
		{"handler", `"rules":[{"policy":"p"}]`, `"rules":[{"policy":"p"}],"policy":"p"`, `unknown field "policy"`},
		{"rule", `{"policy":"p"}`, `{"policy":"p","shadows":"p"}`, `unknown field "shadows"`},
		{"no rule", `"rules":[{"policy":"p"}]`, `"rules":[]`, "without rules"},
		{"rule without policy", `{"policy":"p"}`, `{}`, "needs a policy"},
		{"unknown policy", `{"policy":"p"}`, `{"policy":"q"}`, `unknown policy "q"; known: p`},
		{"check interval", `"path":"devices.json"`, `"path":"devices.json","check_interval":1`, "check_interval is below 100ms"},
		{"guards", `"path":"devices.json"`, `"path":"devices.json","guards":{"changes":-1}`, "a count is not negative"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			out, ok := validate(t, dir, "bad.json", strings.Replace(good, tc.old, tc.new, 1))
			if ok || !strings.Contains(out, tc.want) {
				t.Errorf("accepted %v, want an error with %q: %s", ok, tc.want, out)
			}
		})
	}
}
