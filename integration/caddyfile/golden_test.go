package caddyfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/gatehouse-project/gatehouse/caddymodule"
)

var update = flag.Bool("update", false, "write the expected half of every golden file anew")

const divider = "----------\n"

// adapt turns a Caddyfile into indented JSON.
func adapt(src string) (string, error) {
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(src), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = json.Indent(&b, out, "", "\t")
	return b.String() + "\n", err
}

// dates stand in golden files as @DAY+30@: 30 days from today in UTC, because the
// syntax refuses dates that are too far ahead.
var dates = regexp.MustCompile(`@DAY([+-]\d+)@`)

func expand(s string, today time.Time) string {
	return dates.ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.Atoi(dates.FindStringSubmatch(m)[1])
		return day(today, n)
	})
}

// contract puts the names of days that src uses back into an answer, and of the
// latest day that is accepted, which errors name.
func contract(s, src string, today time.Time) string {
	for _, m := range append(dates.FindAllStringSubmatch(src, -1), []string{"@DAY+90@", "+90"}) {
		n, _ := strconv.Atoi(m[1])
		s = strings.ReplaceAll(s, day(today, n), m[0])
	}
	return s
}

func day(today time.Time, n int) string { return today.AddDate(0, 0, n).Format(time.DateOnly) }

// adaptDated adapts a file with dates. If midnight in UTC passed meanwhile, the
// product and this test may have meant two days by today: then it does so again.
func adaptDated(src string) (got string, today time.Time, err error) {
	for {
		today = time.Now().UTC()
		got, err = adapt(expand(src, today))
		if day(time.Now().UTC(), 0) == day(today, 0) {
			return got, today, err
		}
	}
}

func TestGood(t *testing.T) { golden(t, "good", 12) }

func TestBad(t *testing.T) { golden(t, "bad", 60) }

// golden compares every file of a directory, of which there must be at least so
// many.
func golden(t *testing.T, dir string, least int) {
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.caddyfiletest"))
	if err != nil || len(files) < least {
		t.Fatalf("%d golden files in %s, want at least %d (%v)", len(files), dir, least, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			src, want, ok := strings.Cut(string(raw), divider)
			if !ok && !*update {
				t.Fatal("no line of dashes")
			}
			got, today, err := adaptDated(src)
			switch {
			case dir == "bad" && err == nil:
				t.Fatalf("accepted:\n%s", got)
			case dir == "bad":
				got = err.Error() + "\n"
				if !strings.Contains(got, "Caddyfile:") {
					t.Errorf("the error names no line: %s", got)
				}
			case err != nil:
				t.Fatalf("refused: %v", err)
			}
			got = contract(got, src, today)
			if *update {
				err := os.WriteFile(file, []byte(src+divider+got), 0o644)
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

// TestBlocksShareOneHandler: the lines of one block act together, because an
// `off` must find its neighbours; blocks and sites never share a handler.
func TestBlocksShareOneHandler(t *testing.T) {
	out, err := adapt(`{
	compliance {
		issuer corp https://idp.corp.example {
			audience intranet
		}
		policy p {
			require user
		}
		policy q {
			require group staff
		}
	}
}
https://a.example {
	compliance p
	compliance /q/* q
	handle /nested/* {
		compliance q
		compliance /nested/open off because "a test"
		respond nested
	}
	route /r/* {
		compliance p
		respond r
	}
	respond a
}
https://b.example, https://c.example {
	compliance p
	respond b
}
https://d.example {
	compliance p
	respond d
}
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if v["handler"] == "compliance" {
				var lines []string
				for _, r := range v["rules"].([]any) {
					place := r.(map[string]any)["place"].(string)
					lines = append(lines, strings.TrimPrefix(place, "Caddyfile:"))
				}
				got = append(got, strings.Join(lines, "+"))
			}
			for _, k := range []string{"apps", "http", "servers", "routes", "handle"} {
				walk(v[k])
			}
			if servers, ok := v["srv0"]; ok {
				walk(servers)
			}
		}
	}
	var cfg any
	err = json.Unmarshal([]byte(out), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	walk(cfg)
	want := map[string]bool{"15+16": true, "18+19": true, "23": true, "29": true, "33": true}
	if len(got) != len(want) {
		t.Errorf("handlers with the rules of lines %v, want %v", got, want)
	}
	for _, g := range got {
		if !want[g] {
			t.Errorf("a handler has the rules of lines %s; all: %v", g, got)
		}
	}
}

// TestOrder: the directive runs before redir and every rewrite, wherever it is
// written, so that policy sees what the client sent.
func TestOrder(t *testing.T) {
	out, err := adapt(`{
	compliance {
		policy p {
			require network 10.0.0.0/8
		}
	}
}
https://a.example {
	respond a
	uri strip_prefix /x
	rewrite /a /b
	redir /old /new
	compliance p
	basic_auth {
		u $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG
	}
}
`)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(out, `"handler": "compliance"`)
	for _, later := range []string{`"Location"`, `"handler": "rewrite"`, `"handler": "authentication"`, `"static_response",`} {
		if i := strings.Index(out, later); i < at && i >= 0 || at < 0 {
			t.Errorf("%s comes before compliance:\n%s", later, out)
		}
	}
}
