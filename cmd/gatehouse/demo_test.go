package main

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/cmd/walkthrough"
)

func TestCaddyQuote(t *testing.T) {
	for _, s := range []string{"/tmp/x", "/tmp/a b", "/tmp/a`b c", `/tmp/a"b`, "/tmp/a`\"b", "/tmp/#x", "{file./tmp/a b/token}"} {
		tokens, err := caddyfile.Tokenize([]byte("word "+walkthrough.CaddyQuote(s)), "Caddyfile")
		if err != nil || len(tokens) != 2 || tokens[1].Text != s {
			t.Errorf("CaddyQuote(%q) = %s: read as %v, %v", s, walkthrough.CaddyQuote(s), tokens, err)
		}
	}
}

// The configuration is an example to read: formatted as `fmt` would, with no
// placeholder of ours left.
func TestDemoCaddyfile(t *testing.T) {
	d := &demo{Dir: "/tmp/demo", Port: 9080, Admin: 9081, Issuer: "http://127.0.0.1:1", App: "127.0.0.1:2"}
	text := d.caddyfile()
	if strings.Contains(text, "{{") {
		t.Errorf("a placeholder is left:\n%s", text)
	}
	if got := string(caddyfile.Format([]byte(text))); got != text {
		t.Errorf("not formatted; want\n%s", got)
	}
}

func TestFleet(t *testing.T) {
	f := fleet()
	if len(f) != 8 {
		t.Fatalf("%d devices, want 8", len(f))
	}
	csv := devicesCSV(time.Now())
	columns := strings.Count(strings.SplitN(csv, "\n", 2)[0], ",")
	for line := range strings.Lines(csv) {
		if strings.Count(line, ",") != columns {
			t.Errorf("row with another number of columns: %s", line)
		}
	}
	files := map[string]bool{}
	for _, p := range people() {
		if files[p.file] {
			t.Errorf("two people share the file %s", p.file)
		}
		files[p.file] = true
	}
	if limit, err := time.ParseDuration(patchScanMaxAge); err != nil || patchScanLate <= limit {
		t.Errorf("the patch scan is not late: %s old, max_file_age %s, %v", patchScanLate, patchScanMaxAge, err)
	}
}
