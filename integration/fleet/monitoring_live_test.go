package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// tool finds a program of Debian's package prometheus, which make setup-promtool puts
// into bin/.
func tool(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_PROMTOOL") == "" {
		t.Skip("needs promtool and prometheus: make test-alerts")
	}
	for _, path := range []string{filepath.Join(rig.Root(), "bin", name), name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("%s is not there: make setup-promtool", name)
	return ""
}

// TestPromtool: the rules are what Prometheus takes, and fire when they should and
// not before.
func TestPromtool(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "tests/alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = monitoring()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// prometheus is a running server that scrapes gateways every second.
type prometheus struct {
	t   *testing.T
	url string
}

// watch starts Prometheus on the shipped rules. Only their patience is shortened:
// "for" becomes a second.
func watch(t *testing.T, gateways map[string]*stage) *prometheus {
	t.Helper()
	bin, dir := tool(t, "prometheus"), t.TempDir()
	for _, name := range []string{"rules.yml", "alerts.yml"} {
		raw, err := os.ReadFile(monitoring(name))
		if err == nil {
			raw = regexp.MustCompile(`(?m)^( +for: ).*$`).ReplaceAll(raw, []byte("${1}1s"))
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml, alerts.yml]\n" +
		"scrape_configs:\n  - job_name: gatehouse\n    static_configs:\n")
	for name, s := range gateways {
		fmt.Fprintf(&config, "      - {targets: [%q], labels: {instance: %s}}\n", strings.TrimPrefix(s.gateway.Admin, "http://"), name)
	}
	file := filepath.Join(dir, "prometheus.yml")
	err := os.WriteFile(file, []byte(config.String()), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", rig.FreePort(t))
	var out bytes.Buffer
	cmd := exec.Command(bin, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus:\n%s", out.String())
		}
	})
	p := &prometheus{t: t, url: "http://" + addr}
	rig.Eventually(t, time.Minute, "prometheus to have scraped all gateways", func() bool { return len(p.query("gatehouse_ready == 1")) == len(gateways) })
	return p
}

// query returns the series that a query finds now.
func (p *prometheus) query(q string) []map[string]string {
	p.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, p.url+"/api/v1/query", nil)
	req.URL.RawQuery = "query=" + strings.NewReplacer(" ", "%20", "{", "%7B", "}", "%7D", "\"", "%22", "=", "%3D", ",", "%2C").Replace(q)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil // not up yet
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
			} `json:"result"`
		} `json:"data"`
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return nil
	}
	var all []map[string]string
	for _, r := range answer.Data.Result {
		all = append(all, r.Metric)
	}
	return all
}

// firing returns the names of the alerts that fire for an instance.
func (p *prometheus) firing(instance string) map[string]bool {
	names := map[string]bool{}
	for _, m := range p.query(`ALERTS{alertstate="firing",instance="` + instance + `"}`) {
		names[m["alertname"]] = true
	}
	return names
}

func (p *prometheus) awaitFiring(instance, alert string) {
	p.t.Helper()
	rig.Eventually(p.t, 2*time.Minute, alert+" of "+instance+" to fire", func() bool { return p.firing(instance)[alert] })
}

// TestAlertsFire: a real Prometheus with the shipped rules watches real gateways while
// their tenants go away, lock them out and send nonsense.
func TestAlertsFire(t *testing.T) {
	tool(t, "prometheus")
	const hastily = `
		source intune {
			poll 1s
			full_sweep 1s
		}`
	const policy = `
		policy app {
			require compliant
			max_age 10s
			stale_if_error 4m
		}`
	gateways := map[string]*stage{}
	for _, name := range []string{"away", "locked", "held", "busy"} {
		gateways[name] = open(t, options{Sources: hastily, Policies: policy})
	}
	p := watch(t, gateways)
	for name := range gateways {
		if got := p.firing(name); len(got) > 0 {
			t.Errorf("%s: %v fire while all is well", name, got)
		}
	}

	away, began := gateways["away"], time.Now()
	healthy := away.token(away.device(emulator.CaseHealthy))
	away.leave()
	rig.Eventually(t, time.Minute, "the metric of the source's state", func() bool {
		n, ok := away.gateway.Metric(`gatehouse_source_state{source="intune"}`)
		return ok && n == 2
	})
	p.awaitFiring("away", "GatehouseSourceFailing")

	// The tenant no longer takes the secret, nor the tokens of before.
	locked := gateways["locked"].tenant
	locked.Fail("login/token", emulator.Fault{Kind: emulator.WrongSecret})
	locked.RevokeTokens()
	p.awaitFiring("locked", "GatehouseCredentialFailing")

	// Somebody's mistake: the whole fleet at once.
	everybody := gateways["held"].tenant.Devices()
	gateways["held"].tenant.Update(func(*emulator.Fleet) {
		for _, d := range everybody {
			for _, m := range d.Managed {
				m.Compliance = "noncompliant"
			}
		}
	})
	p.awaitFiring("held", "GatehouseChangeHeld")

	gateways["busy"].tenant.Fail("graph/managedDevices", emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "300"})
	p.awaitFiring("busy", "GatehouseThrottled")

	// It is known long before people notice: half of 4 min 10 s is left.
	rig.Eventually(t, 3*time.Minute, "GatehouseFeedDying of away to fire", func() bool { return p.firing("away")["GatehouseFeedDying"] })
	if n, reasons := away.ask("app", healthy); n != http.StatusOK {
		t.Errorf("%s into the outage the alert fires, but a healthy device gets %d %v already", time.Since(began), n, reasons)
	}
	for name, s := range gateways {
		if !s.gateway.Running() {
			t.Errorf("%s does not run any more", name)
		}
	}
	t.Logf("firing: away %v, locked %v, held %v, busy %v", p.firing("away"), p.firing("locked"), p.firing("held"), p.firing("busy"))
}
