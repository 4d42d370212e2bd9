package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestLint(t *testing.T) {
	const head = `{
	grace_period 5s
	servers {
		listener_wrappers {
			handover
			tls
		}
	}
	compliance {
		issuer corp https://idp.corp.example {
			audience intranet
			device_claim deviceid entra
		}
		source inventory devices.csv
		policy standard {
			require compliant
		}
	}
}
`
	const clean = head + "a.example {\n\tcompliance standard\n\treverse_proxy app:1 {\n\t\tstream_close_delay 1h\n\t}\n}\n"
	const warns = head + "a.example {\n\tcompliance standard\n\treverse_proxy app:1\n}\n"
	const wrong = clean + "b.example {\n\treverse_proxy app:2\n}\n"
	tests := []struct {
		name, config string
		args         []string
		status       int
		want         []string
	}{
		{"clean", clean, nil, 0, []string{"Caddyfile: 0 errors, 0 warnings, 0 notes"}},
		{"warnings", warns, nil, 0, []string{"warning: a.example: reverse_proxy to app:1 has no stream_close_delay", "0 errors, 1 warning, 0 notes"}},
		{"warnings, strict", warns, []string{"--strict"}, 2, []string{"warning: a.example"}},
		{"errors", wrong, nil, 1, []string{"error: b.example: app:2 is reached without compliance; put `compliance POLICY`", "[apps.http.servers.srv0.routes["}},
		{"not a gateway", "a.example {\n}\n", nil, 1, []string{"it has no compliance app"}},
		{"syntax", "a.example {\n", nil, 1, []string{"configuration: "}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			err := os.WriteFile(filepath.Join(dir, "Caddyfile"), []byte(tc.config), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			run(t, dir, "", append([]string{"lint"}, tc.args...)...).expect(t, tc.status, tc.want...)
			if tc.name != "errors" {
				return
			}
			r := run(t, dir, "", "lint", "--json", "--config", "Caddyfile")
			var report struct {
				Findings []struct{ Severity, Code, Place, Path, Text, Do string }
			}
			err = json.Unmarshal([]byte(r.out), &report)
			if err != nil || r.status != 1 || len(report.Findings) != 1 || report.Findings[0].Code != "not_covered" {
				t.Errorf("status %d, %v: %s", r.status, err, r.out)
			}
			// The same configuration as JSON.
			adapted := run(t, dir, "", "adapt", "--config", "Caddyfile")
			err = os.WriteFile(filepath.Join(dir, "caddy.json"), []byte(adapted.out), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			run(t, dir, "", "lint", "--config", "caddy.json").expect(t, 1, "error: b.example")
		})
	}
	run(t, t.TempDir(), "", "lint").expect(t, 1, "there is no Caddyfile here; name one with --config")
}
