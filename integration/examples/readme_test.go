package examples

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// page reads a text of the repository.
func page(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(rig.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestReadmeCommands runs every command of README's console blocks in the
// repository's root. The binary is the one under test, the home a new one.
func TestReadmeCommands(t *testing.T) {
	all := commands(page(t, "README.md"))
	if len(all) < 4 {
		t.Fatalf("README has only the commands %v", all)
	}
	for _, c := range all {
		if strings.HasPrefix(c.line, "go build ") {
			continue // rig.Binary did that
		}
		args := strings.Fields(c.line)
		if args[0] != "bin/gatehouse" {
			t.Errorf("README has a command that nothing runs: %s", c.line)
			continue
		}
		out, err := inRoot(t, args[1:]...)
		if exit, ok := err.(*exec.ExitError); err != nil && (!ok || args[1] != "explain" || exit.ExitCode() != 3) {
			t.Errorf("%s: %v\n%s", c.line, err, out)
		}
		if !matches(out, c.want) {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.line, out, c.want)
		}
	}
}

// TestReadmeCaddyfiles validates every Caddyfile in the pages, with files that exist.
func TestReadmeCaddyfiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(rig.Root(), "*", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(rig.Root(), "examples", "*", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks [][]string
	for _, file := range append([]string{"README.md"}, append(files, more...)...) {
		file = strings.TrimPrefix(file, rig.Root()+"/")
		for _, b := range regexp.MustCompile("(?s)```caddyfile\n(.*?)```").FindAllStringSubmatch(page(t, file), -1) {
			blocks = append(blocks, []string{file, b[1]})
		}
	}
	if len(blocks) < 3 {
		t.Fatalf("the pages show only the Caddyfiles %q", blocks)
	}
	for i, b := range blocks {
		src := strings.ReplaceAll(b[1], "/etc/gatehouse/devices.csv", filepath.Join(rig.Root(), "examples/files/devices.csv"))
		file := filepath.Join(t.TempDir(), "Caddyfile")
		err := os.WriteFile(file, []byte(src), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		out, err := inRoot(t, "validate", "--config", file, "--adapter", "caddyfile")
		if err != nil {
			t.Errorf("block %d, in %s: %v\n%s", i+1, b[0], err, out)
		}
	}
}

// TestReadmeMetrics compares the metrics table in caddymodule/README.md with a scrape of a gateway in which
// everything that has a metric is configured and happened once.
func TestReadmeMetrics(t *testing.T) {
	issuer, authority := rig.NewIssuer(t, "https://idp.corp.example"), rig.NewCA(t, "Device CA")
	port := rig.FreePort(t)
	inventory := filepath.Join(t.TempDir(), "devices.csv")
	raw, err := os.ReadFile(filepath.Join(rig.Root(), "examples/files/devices.csv"))
	if err == nil {
		// One bad row, so that skipped records are counted; few enough to load.
		raw = append(raw, "no-guid,X,BAD,windows,1,compliant,yes,yes,yes,no,no,low,joined,corporate,a@b,2026-11-01T08:00:00Z,yes\n"...)
		err = os.WriteFile(inventory, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	g := rig.Start(t, rig.Setup{
		Global: "metrics",
		Compliance: fmt.Sprintf(`issuer corp %s {
			jwks file %s
			audience intranet
			device_claim deviceid entra
		}
		client_certificate {
			trust_pool file %s
			device_id entra subject_cn
		}
		source inventory %s
		policy standard {
			require user
			require managed
		}
		policy trial {
			extends standard
			require encrypted
			report_only until %s
		}`, issuer.URL, issuer.JWKS, authority.File, inventory, time.Now().UTC().AddDate(0, 0, 30).Format(time.DateOnly)),
		Sites: fmt.Sprintf("http://127.0.0.1:%d {\n\tbind 127.0.0.1\n\tcompliance trial\n\trespond ok\n}\n", port),
	})
	c := rig.NewClient(t, rig.ClientOptions{Protocol: "h1", Port: port})
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	rig.Do(t, c, http.MethodGet, url, "Remote-User", "eve")
	rig.Do(t, c, http.MethodGet, url, rig.Bearer(issuer.Token(rig.Claims{"aud": "other"}))...)
	rig.Do(t, c, http.MethodGet, url, rig.Bearer(issuer.Token(rig.Claims{"deviceid": "22222222-2222-4222-8222-222222222222"}))...)
	g.Call(http.MethodPost, "/compliance/revoke", map[string]string{"user": "eve", "reason": "test"}, nil)

	resp, err := http.Get(g.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	scrape, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	scraped := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (gatehouse_\w+)`).FindAllStringSubmatch(string(scrape), -1) {
		scraped[m[1]] = true
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(gatehouse_\\w+)`").FindAllStringSubmatch(page(t, "caddymodule/README.md"), -1) {
		documented[m[1]] = true
	}
	for name := range scraped {
		if !documented[name] {
			t.Errorf("the table does not describe %s", name)
		}
	}
	// Events that this test cannot bring about.
	delete(documented, "gatehouse_source_guard_total")
	for name := range documented { // needs a tenant: integration/fleet compares those
		if strings.HasPrefix(name, "gatehouse_microsoft_") {
			delete(documented, name)
		}
	}
	for _, name := range []string{"skipped_values", "refused_reads", "partner_silent", "conflicts"} {
		delete(documented, "gatehouse_source_"+name)
	}
	delete(documented, "gatehouse_crl_usable")
	for name := range documented {
		if !scraped[name] {
			t.Errorf("the table describes %s, which no scrape shows", name)
		}
	}
}
