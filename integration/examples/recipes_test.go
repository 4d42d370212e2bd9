package examples

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// vendor is a service of somebody else's, as far as its published documents tell: it
// signs clients in as the recipe does, and answers what was written down, nothing else.
type vendor struct {
	*httptest.Server
	answers map[string]json.RawMessage // by request URI, in one spelling
	secret  string
}

const clientToken = "token-of-the-client"

// newVendor plays the answers of one file, over TLS if the recipe names an authority.
func newVendor(t *testing.T, name string, secure bool) *vendor {
	raw, err := os.ReadFile(filepath.Join("testdata", "recipes", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Request string          `json:"request"`
		Answer  json.RawMessage `json:"answer"`
	}
	err = json.Unmarshal(raw, &list)
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %d answers, %v", name, len(list), err)
	}
	v := &vendor{answers: map[string]json.RawMessage{}, secret: "secret of the " + name}
	if name == "iru" {
		v.secret = "token-of-the-console"
	}
	for _, e := range list {
		v.answers[e.Request] = e.Answer
	}
	v.Server = httptest.NewUnstartedServer(v)
	if secure {
		v.StartTLS()
	} else {
		v.Start()
	}
	t.Cleanup(v.Close)
	return v
}

// ServeHTTP implements http.Handler.
func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/token") {
		if r.FormValue("client_id") == "" || r.FormValue("client_secret") != v.secret || r.FormValue("grant_type") != "client_credentials" {
			http.Error(w, `{"error": "invalid_client"}`, http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"access_token": %q, "token_type": "bearer", "expires_in": 1799}`, clientToken)
		return
	}
	_, password, _ := r.BasicAuth()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token != clientToken && token != v.secret && (password != v.secret || r.Header.Get("X-Api-Key") != "a key") {
		http.Error(w, `{"message": "access denied"}`, http.StatusUnauthorized)
		return
	}
	answer, ok := v.answers[r.RequestURI]
	if !ok {
		http.Error(w, fmt.Sprintf(`{"message": "nobody wrote down what %s answers"}`, r.RequestURI), http.StatusBadRequest)
		return
	}
	_, _ = w.Write(answer)
}

// recipe is the text of a recipe, with the vendor's address, files that exist, and
// nothing else changed.
func (v *vendor) recipe(t *testing.T, text string) string {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, filepath.Base(name))
		err := os.WriteFile(file, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	text = regexp.MustCompile(`https://[a-z.-]+`).ReplaceAllString(text, v.URL)
	text = regexp.MustCompile(`/run/secrets/\w+`).ReplaceAllStringFunc(text, func(name string) string { return write(name, v.secret+"\n") })
	if c := v.Certificate(); c != nil {
		ca := write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
		text = strings.ReplaceAll(text, "/etc/gatehouse/corp-ca.pem", ca)
	}
	return text
}

// TestRecipes runs every recipe of examples/httpjson against answers of the shape that
// its vendor documents, and looks at what the gateway takes from them.
func TestRecipes(t *testing.T) {
	type device struct {
		facts map[string]string
		codes string // of the policy's answer; "" is allow
	}
	tests := map[string]struct {
		policy  string
		devices map[string]device
		// unknown are the words that have no meaning, by source and field.
		unknown string
		// refreshed is a device that another answer is known about when it is asked for.
		refreshed     string
		refreshedCode string
	}{
		"jamf-pro": {
			policy: "require managed\nrequire compliant\nrequire encrypted\nrequire os macos 14.0",
			devices: map[string]device{
				"JAMFGOOD01": {map[string]string{
					"managed": "yes", "supervised": "yes", "compliance": "compliant", "os": "macos 15.1.1", "encrypted": "yes", "firewall": "yes",
					"secure_boot": "yes", "owner": "ann@corp.example",
				}, ""},
				"JAMFBAD002": {map[string]string{
					"managed": "yes", "supervised": "no", "compliance": "noncompliant", "os": "macos 13.6", "encrypted": "no", "firewall": "no",
				}, "noncompliant not_encrypted os_too_old"},
				"JAMFNONE03": {nil, "device_unknown"},
			},
			unknown:   "jamf secure_boot unlisted",
			refreshed: "JAMFBAD002",
		},
		"falcon": {
			policy: "require device\nrequire risk at_most medium",
			devices: map[string]device{
				"FALCGOOD01": {map[string]string{"os": "windows", "sensor": "active", "risk": "low"}, ""},
				"FALCLOW002": {map[string]string{"os": "macos", "sensor": "impaired", "risk": "high"}, "risk_too_high"},
				"FALCCONT03": {map[string]string{"os": "windows", "sensor": "active", "risk": "compromised"}, "device_compromised risk_too_high"},
				"FALCNONE04": {nil, "device_unknown"},
			},
		},
		"iru": {
			policy: "require managed\nrequire encrypted\nrequire os macos 14.0",
			devices: map[string]device{
				"IRUGOOD001": {map[string]string{"managed": "yes", "os": "macos 15.1.1", "encrypted": "yes", "owner": "ann@corp.example"}, ""},
				"IRUBAD0002": {map[string]string{"managed": "no", "os": "macos 12.7.6", "encrypted": "no"}, "not_managed not_encrypted os_too_old"},
			},
			refreshed:     "IRUBAD0002",
			refreshedCode: "not_encrypted",
		},
		"cmdb": {
			policy: "require device\nrequire ownership corporate",
			devices: map[string]device{
				"CMDBGOOD01": {map[string]string{"ownership": "corporate", "lifecycle": "active", "enabled": "yes", "owner": "ann@corp.example"}, ""},
				"CMDBSTOLEN": {map[string]string{"ownership": "corporate", "lifecycle": "revoked", "enabled": "no"}, "device_disabled device_retired"},
				"CMDBODD003": {map[string]string{"lifecycle": "active", "enabled": "yes"}, "fact_unknown"},
			},
			unknown: "cmdb ownership unlisted",
		},
	}
	files, err := filepath.Glob(filepath.Join(rig.Root(), "examples", "httpjson", "*.caddyfile"))
	if err != nil || len(files) != len(tests) {
		t.Fatalf("%d recipes and %d tests of them, %v", len(files), len(tests), err)
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			text := page(t, "examples/httpjson/"+name+".caddyfile")
			v := newVendor(t, name, strings.Contains(text, "ca_file"))
			issuer, port := rig.NewIssuer(t, "https://idp.corp.example"), rig.FreePort(t)
			g := rig.Start(t, rig.Setup{
				Env: []string{"CMDB_API_KEY=a key"},
				Compliance: fmt.Sprintf("issuer corp %s {\njwks file %s\naudience intranet\ndevice_claim sn serial\n}\n%s\npolicy p {\nrequire user\n%s\n}",
					issuer.URL, issuer.JWKS, v.recipe(t, text), tc.policy),
				Sites: fmt.Sprintf("http://127.0.0.1:%d {\n\tbind 127.0.0.1\n\tcompliance p\n\trespond ok\n}\n", port),
			})
			c := rig.NewClient(t, rig.ClientOptions{Protocol: "h1", Port: port})
			url := fmt.Sprintf("http://127.0.0.1:%d/", port)
			token := func(serial string) []string {
				return rig.Bearer(issuer.Token(rig.Claims{"sn": serial, "deviceid": nil}))
			}
			ask := func(serial string) string {
				a := rig.Do(t, c, http.MethodGet, url, token(serial)...)
				if a.StatusCode == http.StatusOK {
					return ""
				}
				return strings.Join(a.Problem(t).Codes(), " ")
			}
			for serial, want := range tc.devices {
				var codes string
				rig.Eventually(t, time.Minute, "everything was read", func() bool {
					codes = ask(serial)
					return !strings.Contains(codes, "not_loaded") && !strings.Contains(codes, "source_failing")
				})
				if codes != want.codes {
					t.Errorf("%s: reasons %q, want %q\n%s", serial, codes, want.codes, g.Log())
				}
				var got struct {
					Facts map[string]string
					Owner string
				}
				status := g.Call(http.MethodGet, "/compliance/devices/serial:"+serial, nil, &got)
				if got.Owner != "" {
					got.Facts["owner"] = got.Owner
				}
				if want.facts != nil && (status != http.StatusOK || !maps.Equal(got.Facts, want.facts)) {
					t.Errorf("%s: facts %q, want %q", serial, got.Facts, want.facts)
				}
			}
			if got := skipped(g); got != tc.unknown {
				t.Errorf("unknown words %q, want %q", got, tc.unknown)
			}
			if tc.refreshed != "" {
				status := g.Call(http.MethodPost, "/compliance/devices/serial:"+tc.refreshed+"/refresh", map[string]string{}, nil)
				if codes := ask(tc.refreshed); status != http.StatusOK || codes != tc.refreshedCode {
					t.Errorf("%s, asked for again: status %d, reasons %q, want %q", tc.refreshed, status, codes, tc.refreshedCode)
				}
			}
		})
	}
}

// skipped are the words that have no meaning, of all sources.
func skipped(g *rig.Gateway) string {
	var status struct {
		Sources []struct {
			Name     string
			Counters struct {
				Skipped []struct{ Field, Reason string }
			}
		}
	}
	g.Call(http.MethodGet, "/compliance/status", nil, &status)
	var all []string
	for _, s := range status.Sources {
		for _, v := range s.Counters.Skipped {
			all = append(all, s.Name+" "+v.Field+" "+v.Reason)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
