package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// TestErrorsWithoutPlace: JSON has no file and line, and errors about it have no
// empty brackets in their stead.
func TestErrorsWithoutPlace(t *testing.T) {
	tests := []struct{ name, app, want string }{
		{"issuer", `"issuers": [{"name": "corp", "url": "https://idp.corp.example"}]`, "issuer corp: "},
		{"issuer, empty variable", `"issuers": [{"name": "corp", "url": "{env.GATEHOUSE_NOWHERE}", "audience": ["a"]}]`, "issuer corp: "},
		{"client certificate", `"client_certificate": {}`, "client_certificate: "},
		{"forwarded certificate", `"forwarded_certificate": {"dialect": "rfc9440"}`, "forwarded_certificate: "},
		{"forwarded certificate alone", `"forwarded_certificate": {"dialect": "rfc9440", "from": ["10.0.0.1"]}`, "forwarded_certificate needs a client_certificate"},
		{"source", `"sources": [{"source": "inventory", "path": "nowhere.csv"}]`, "source inventory: nowhere.csv: "},
		{"source that is a directory", `"sources": [{"source": "inventory", "path": "testdata"}]`, "source inventory: testdata: source inventory: not loaded: inventory file is a directory; correct"},
		{"policy", `"policies": [{"name": "p", "lines": []}]`, "policy p requires nothing"},
		{"requirement", `"policies": [{"name": "p", "lines": [{"words": ["require", "managed"]}]}]`, "require managed: no "},
		{"step-up", `"step_ups": [{"name": "mfa"}]`, "step_up mfa has no for block"},
		{"option", `"decision_log": "none"`, "decision_log is one of"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir, err := json.Marshal(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			app := `{"keys": {"dir": ` + string(dir) + `}, "state_dir": ` + string(dir) + `, ` + tc.app + `}`
			err = caddy.Validate(&caddy.Config{AppsRaw: caddy.ModuleMap{"compliance": json.RawMessage(app)}})
			if err == nil {
				t.Fatal("the configuration loads")
			}
			text := err.Error()
			if !strings.Contains(text, tc.want) || strings.Contains(text, "()") || strings.Contains(text, ": : ") {
				t.Errorf("%s\nwant %q, and nothing where the place would be", text, tc.want)
			}
		})
	}
}

// mute is a source that can do nothing.
type mute struct{ caddy.Module }

func (mute) SourceName() string { return "mute" }

func (mute) Facts() decision.FactSet { return 0 }

func (m mute) NewSource(caddy.Context) (source.Source, source.RunnerOptions, error) {
	return m, source.RunnerOptions{}, nil
}

func TestSourceWithoutCapability(t *testing.T) {
	_, err := new(App).newSource(caddy.Context{}, mute{}, 0)
	if err == nil || !strings.Contains(err.Error(), "neither list its devices nor look one up") {
		t.Errorf("error %v", err)
	}
}

func TestFindingWithoutPlace(t *testing.T) {
	f := Finding{Severity: SeverityNote, Text: "text", Do: "do"}
	if got, want := f.String(), "note: text; do"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
