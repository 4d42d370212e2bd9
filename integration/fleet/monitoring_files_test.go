package fleet

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// monitoring is the directory that ships to operators.
func monitoring(elem ...string) string {
	return filepath.Join(append([]string{rig.Root(), "examples", "monitoring"}, elem...)...)
}

// rule is one alert or recording rule.
type rule struct {
	Alert       string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// rules reads both rule files.
func rules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, name := range []string{"rules.yml", "alerts.yml"} {
		var file struct {
			Groups []struct {
				Rules []rule `yaml:"rules"`
			} `yaml:"groups"`
		}
		raw, err := os.ReadFile(monitoring(name))
		if err == nil {
			err = yaml.Unmarshal(raw, &file)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range file.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

// TestAlertsAreComplete: every alert tells what happened, what it means and what to
// do, and is unit-tested.
func TestAlertsAreComplete(t *testing.T) {
	tests, err := os.ReadFile(monitoring("tests", "alerts_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if seen[r.Alert] {
			t.Errorf("%s is defined twice", r.Alert)
		}
		seen[r.Alert] = true
		for _, name := range []string{"summary", "description", "next_step"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has severity %q", r.Alert, r.Labels["severity"])
		}
		if !strings.Contains(string(tests), `alertname="`+r.Alert+`"`) {
			t.Errorf("no unit test names %s", r.Alert)
		}
	}
	if len(seen) < 25 {
		t.Errorf("only %d alerts", len(seen))
	}
	for _, m := range regexp.MustCompile(`Gatehouse[A-Z]\w+`).FindAllString(string(tests), -1) {
		if !seen[m] {
			t.Errorf("the unit tests name %s, which does not exist", m)
		}
	}
	readme, err := os.ReadFile(monitoring("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Gatehouse[A-Z]\w+`).FindAllString(string(readme), -1) {
		if !seen[m] {
			t.Errorf("README.md names %s, which does not exist", m)
		}
	}
}

// target is one query of a panel.
type target struct {
	Expr       string     `json:"expr"`
	Legend     string     `json:"legendFormat"`
	Datasource datasource `json:"datasource"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Datasource  *datasource `json:"datasource"`
	Targets     []target    `json:"targets"`
	Grid        struct{ H, W, X, Y int }
}

type dashboard struct {
	SchemaVersion int     `json:"schemaVersion"`
	UID           string  `json:"uid"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []struct {
			Name  string          `json:"name"`
			Type  string          `json:"type"`
			Query json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

func loadDashboard(t *testing.T) *dashboard {
	t.Helper()
	raw, err := os.ReadFile(monitoring("gatehouse.json"))
	if err != nil {
		t.Fatal(err)
	}
	raw = regexp.MustCompile(`"gridPos"`).ReplaceAll(raw, []byte(`"Grid"`))
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// TestDashboard: the form that Grafana wants, one datasource to choose, the rows that
// DESIGN promises, and no panel over another.
func TestDashboard(t *testing.T) {
	d := loadDashboard(t)
	if d.SchemaVersion < 39 || d.UID != "gatehouse" {
		t.Errorf("schema %d, uid %q", d.SchemaVersion, d.UID)
	}
	datasources := 0
	for _, v := range d.Templating.List {
		if v.Type == "datasource" {
			datasources++
		}
	}
	if datasources != 1 {
		t.Errorf("%d datasource variables, want 1", datasources)
	}
	var rows []string
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.Grid.X; x < p.Grid.X+p.Grid.W; x++ {
			for y := p.Grid.Y; y < p.Grid.Y+p.Grid.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies over %q or outside, at %d, %d", p.Title, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 || p.Datasource == nil || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: no description, query or datasource variable", p.Title)
		}
		for _, q := range p.Targets {
			if q.Datasource.UID != "${datasource}" {
				t.Errorf("%s: a query has the datasource %q", p.Title, q.Datasource.UID)
			}
		}
	}
	if want := []string{"Decisions", "Latencies", "Sources", "Tenants", "Identity", "Cache", "Process"}; !slices.Equal(rows, want) {
		t.Errorf("rows %q, want %q", rows, want)
	}
}
