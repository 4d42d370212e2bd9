package fleet

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// exported is what a gateway exports: per metric the labels, and per label the
// values seen.
type exported map[string]map[string]map[string]bool

var (
	seriesLine = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? \S+$`)
	labelPair  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

func scrape(t *testing.T, url string) exported {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := exported{}
	for _, m := range seriesLine.FindAllStringSubmatch(string(page), -1) {
		if all[m[1]] == nil {
			all[m[1]] = map[string]map[string]bool{}
		}
		for _, l := range labelPair.FindAllStringSubmatch(m[2], -1) {
			if all[m[1]][l[1]] == nil {
				all[m[1]][l[1]] = map[string]bool{}
			}
			all[m[1]][l[1]][l[2]] = true
		}
	}
	return all
}

var (
	selector  = regexp.MustCompile(`\b((?:gatehouse|process|go)[_:][a-z0-9_:]+|up|ALERTS)\b(?:\{([^}]*)\})?`)
	matcher   = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping  = regexp.MustCompile(`\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	labelsOf  = regexp.MustCompile(`\$labels\.(\w+)`)
	legendsOf = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
)

// attached are the labels that Prometheus adds.
var attached = []string{"job", "instance"}

// check compares the names in an expression with what is exported, and returns the
// labels that its result may have. recorded are the labels of recording rules.
func (e exported) check(t *testing.T, where, expr string, recorded map[string][]string) []string {
	t.Helper()
	labels := slices.Clone(attached)
	found := selector.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 {
		t.Errorf("%s: no metric in %s", where, expr)
	}
	for _, m := range found {
		name := m[1]
		own, known := e[name]
		var has []string
		switch more, isRecorded := recorded[name]; {
		case isRecorded:
			has = more
		case name == "ALERTS":
			has = []string{"alertname", "alertstate"}
		case name == "up":
		case !known:
			t.Errorf("%s: no gateway exports %s", where, name)
			continue
		}
		for l := range own {
			has = append(has, l)
		}
		labels = append(labels, has...)
		for _, c := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(has, c[1]) && !slices.Contains(attached, c[1]) {
				t.Errorf("%s: %s has no label %s", where, name, c[1])
				continue
			}
			if own == nil || own[c[1]] == nil || strings.Contains(c[3], "$") || strings.HasPrefix(c[2], "!") {
				continue
			}
			pattern := regexp.QuoteMeta(c[3])
			if c[2] == "=~" {
				pattern = c[3]
			}
			for _, alternative := range alternatives(pattern) {
				if !anyMatch(own[c[1]], alternative) {
					t.Errorf("%s: no %s of %s matches %s", where, c[1], name, alternative)
				}
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.FieldsFunc(g[1], func(r rune) bool { return r == ',' || r == ' ' }) {
			if l != "le" && !slices.Contains(labels, l) {
				t.Errorf("%s: nothing in it has the label %s: %s", where, l, expr)
			}
		}
	}
	return labels
}

// alternatives takes a|b and x_(a|b) apart, so that each of them must exist.
func alternatives(pattern string) []string {
	before, rest, ok := strings.Cut(pattern, "(")
	if !ok {
		return strings.Split(pattern, "|")
	}
	inside, after, _ := strings.Cut(rest, ")")
	var all []string
	for _, a := range strings.Split(inside, "|") {
		all = append(all, before+a+after)
	}
	return all
}

func anyMatch(values map[string]bool, pattern string) bool {
	re := regexp.MustCompile("^(?:" + pattern + ")$")
	for v := range values {
		if re.MatchString(v) {
			return true
		}
	}
	return false
}

// everything opens a gateway in which all that has a metric is configured, and makes
// it happen once.
func everything(t *testing.T) *stage {
	t.Helper()
	ca := rig.NewCA(t, "Device CA")
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
	}, ca.Cert, ca.Key)
	crl, csv := filepath.Join(t.TempDir(), "device-ca.crl"), filepath.Join(t.TempDir(), "devices.csv")
	if err == nil {
		err = os.WriteFile(crl, der, 0o600)
	}
	s := open(t, options{
		Sources: fmt.Sprintf(`
		client_certificate {
			trust_pool file %s
			device_id entra subject_cn
			revocation crl %s
		}
		source intune {
			poll 1s
			full_sweep 1s
		}
		source entra {
			poll 1s
		}
		source defender
		source nac
		source inventory %s`, ca.File, crl, csv),
		Policies: fmt.Sprintf(`
		policy app {
			require compliant
		}
		policy trial {
			extends app
			require encrypted
			report_only until %s
		}`, time.Now().UTC().AddDate(0, 0, 30).Format(time.DateOnly)),
		Before: func(s *stage) {
			d := s.tenant.Devices()[0]
			// One device that sources describe differently, and one row that is none.
			err = os.WriteFile(csv, []byte("entra_id,compliance,managed\n"+d.EntraID.String()+",noncompliant,no\nno-guid,compliant,yes\n"), 0o600)
			if err != nil {
				t.Fatal(err)
			}
		},
	})
	s.tenant.Grant("DeviceManagementConfiguration.Read.All", false)
	s.tenant.RevokeTokens()
	t.Cleanup(s.tenant.Fail("graph/managedDevices", emulator.Fault{Kind: emulator.UnknownEnums}))
	s.ask("app", s.token(s.device(emulator.CaseHealthy)))
	s.ask("trial", s.token(s.device(emulator.CaseNoncompliant)))
	s.ask("app", rig.NewIssuer(t, "https://idp.corp.example").Token(nil))
	rig.Do(t, http.DefaultClient, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/app/x", s.port), "Remote-User", "eve")
	s.gateway.Call(http.MethodPost, "/compliance/revoke", map[string]string{"user": "eve", "reason": "test"}, nil)
	return s
}

// TestMonitoringNames: every metric, label and label value that rules, alerts and
// dashboard name is one that the real binary exports, and
// caddymodule/README.md describes them all.
func TestMonitoringNames(t *testing.T) {
	s := everything(t)
	var all exported
	rig.Eventually(t, time.Minute, "conflicts to be counted, and values to be skipped", func() bool {
		all = scrape(t, s.gateway.Admin+"/metrics")
		return all["gatehouse_source_conflicts"] != nil && all["gatehouse_source_skipped_values"] != nil && all["gatehouse_source_refused_reads"] != nil
	})
	if n, ok := s.gateway.Metric(`gatehouse_source_conflicts{fact="compliance"}`); !ok || n < 1 {
		t.Errorf("conflicts about compliance: %v, %v", n, ok)
	}
	recorded := map[string][]string{}
	for _, r := range rules(t) {
		name := r.Record + r.Alert
		labels := all.check(t, name, r.Expr, recorded)
		if r.Record != "" {
			recorded[r.Record] = labels
		}
		for _, text := range r.Annotations {
			for _, m := range labelsOf.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(labels, m[1]) {
					t.Errorf("%s: an annotation uses the label %s, which the alert does not have", name, m[1])
				}
			}
		}
	}
	d := loadDashboard(t)
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			labels := all.check(t, p.Title, q.Expr, recorded)
			for _, m := range legendsOf.FindAllStringSubmatch(q.Legend, -1) {
				if !slices.Contains(labels, m[1]) {
					t.Errorf("%s: the legend uses the label %s, which the query does not have", p.Title, m[1])
				}
			}
		}
	}
	for _, v := range d.Templating.List {
		if strings.Contains(string(v.Query), "label_values") {
			all.check(t, "variable "+v.Name, string(v.Query), recorded)
		}
	}
	documented(t, all)
}

// documented compares names and labels with the table of caddymodule/README.md. A gateway of everything
// shows every series that there is.
func documented(t *testing.T, all exported) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(rig.Root(), "caddymodule", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(gatehouse_\\w+)` \\| ([a-z_, ]*)\\|").FindAllStringSubmatch(string(raw), -1)
	if len(rows) < 30 {
		t.Fatalf("README describes only %d metrics", len(rows))
	}
	for _, row := range rows {
		own := all[row[1]]
		if own == nil {
			own = all[row[1]+"_count"]
		}
		if own == nil {
			t.Errorf("README describes %s, which a gateway of everything does not export", row[1])
			continue
		}
		want := strings.FieldsFunc(row[2], func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(want)
		var got []string
		for l := range own {
			got = append(got, l)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has the labels %q, README says %q", row[1], got, want)
		}
	}
}
