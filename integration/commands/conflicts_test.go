package commands

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestConflicts: where sources disagree about a device, explain (offline, online,
// text and JSON), devices, status and the metrics say so.
func TestConflicts(t *testing.T) {
	const header = "entra_id,compliance,managed,encrypted,owner_upn,risk\n"
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	first := file("first.csv", header+goodID+",compliant,yes,yes,alice@corp.example,low\n")
	second := file("second.csv", header+goodID+",compliant,yes,no,bob@corp.example,high\n"+badID+",noncompliant,yes,no,,low\n")
	issuer := rig.NewIssuer(t, "https://idp.corp.example")
	g := rig.Start(t, rig.Setup{
		Compliance: fmt.Sprintf(`privacy {
			users hash
		}
		issuer corp %s {
			jwks file %s
			audience intranet
			device_claim deviceid entra
		}
		source inventory %s {
			name first
		}
		source inventory %s {
			name second
		}
		policy app {
			require encrypted
			require risk at_most medium
		}`, issuer.URL, issuer.JWKS, first, second),
		Sites: fmt.Sprintf("http://127.0.0.1:%d {\n\tbind 127.0.0.1\n\tcompliance app\n\trespond ok\n}\n", rig.FreePort(t)),
	})
	address := []string{"--address", strings.TrimPrefix(g.Admin, "http://")}
	question := []string{"explain", "--policy", "app", "--user", "alice", "--device", goodID}
	config := filepath.Join(g.Dir, "Caddyfile")

	// The first source is the authority for encryption, and the second has bad news.
	said := []string{"conflicts:\n", "encrypted  first   yes", "counts (authority)", "encrypted  second  no", "overruled", "counts (worst_of)", "risk_too_high"}
	run(t, dir, "", append(question, address...)...).expect(t, 3, said...)
	run(t, dir, "", append(question, "--config", config)...).expect(t, 3, said...)
	for _, where := range [][]string{address, {"--config", config}} {
		r := run(t, dir, "", append(append(question, "--json"), where...)...)
		var x struct {
			Conflicts int `json:"conflicts"`
			Facts     []struct {
				Name, Value, Source, Why string
				Conflict                 bool
				Words                    []struct {
					Source, Value, Standing, Freshness string
					ConfirmedAt                        time.Time `json:"confirmed_at"`
					AgeSeconds                         *int64    `json:"age_seconds"`
				}
			}
		}
		if err := json.Unmarshal([]byte(r.out), &x); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
		if x.Conflicts != 3 {
			t.Errorf("%d conflicts, want 3: encrypted, risk, owner", x.Conflicts)
		}
		for _, f := range x.Facts {
			if f.Name != "risk" {
				continue
			}
			if !f.Conflict || f.Value != "high" || f.Source != "second" || f.Why != "worst_of" || len(f.Words) != 2 {
				t.Errorf("got %+v", f)
			}
			for _, w := range f.Words {
				if w.AgeSeconds == nil || w.Freshness != "fresh" || time.Since(w.ConfirmedAt) > time.Hour {
					t.Errorf("a word without its age: %+v", w)
				}
			}
		}
	}
	shown := run(t, dir, "", append([]string{"devices", goodID}, address...)...)
	shown.expect(t, 0, "conflicts:\n", "counts (worst_of)", "facts on which sources disagree: 3")
	if strings.Contains(shown.out, "@corp.example") {
		t.Errorf("an owner's name in spite of privacy:\n%s", shown.out)
	}

	rig.Eventually(t, time.Minute, "the conflicts to be counted", func() bool {
		n, ok := g.Metric(`gatehouse_source_conflicts{fact="risk"}`)
		return ok && n == 1
	})
	if n, ok := g.Metric(`gatehouse_source_conflicts{fact="compliance"}`); !ok || n != 0 {
		t.Errorf("conflicts about compliance: %v, %v; want 0", n, ok)
	}
	var status struct {
		Conflicts struct {
			Devices, Disagreeing int
		}
	}
	if g.Call(http.MethodGet, "/compliance/status", nil, &status); status.Conflicts.Devices != 1 || status.Conflicts.Disagreeing != 1 {
		t.Errorf("got %+v", status)
	}
	run(t, dir, "", append([]string{"status"}, address...)...).expect(t, 0, "sources disagree about 1 of 1 devices", "risk 1")
}
