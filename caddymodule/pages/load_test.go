package pages

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOverride(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "blocked.html", `{{define "main"}}<p class="own">{{range .Sections}}{{range .Items}}{{.Code}} {{end}}{{end}}</p>{{end}}`)
	write(t, dir, "README.txt", "ignored")
	p, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	all := gallery()
	got := rendered(t, p, all["blocked-many-en"])
	if !strings.Contains(got, `<p class="own">not_encrypted os_too_old`) || !strings.Contains(got, "<h1>This device needs attention</h1>") {
		t.Errorf("own page inside the built-in layout not found in:\n%s", got)
	}
	if got := rendered(t, p, all["undecided-en"]); strings.Contains(got, "own") || !strings.Contains(got, "on our side") {
		t.Error("the other pages changed too")
	}
}

func TestOverrideLayoutAndStyle(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "layout.html", "<!DOCTYPE html><html lang=\"{{.Lang}}\"><title>Acme</title><style>{{.Style}}</style><style>h1 { color: teal }</style><h1>{{.Title}}</h1>{{template \"main\" .}}</html>")
	write(t, dir, "style.css", "body > p { content: \"<\" } /* kept */\n")
	p, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	checkHashes(t, p, 2)
}

func TestLoadErrors(t *testing.T) {
	file := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { write(t, dir, name, text) }
	}
	tests := []struct {
		name  string
		setup func(t *testing.T, dir string)
		want  []string
	}{
		{"syntax", file("signin.html", `{{define "main"}}{{if}}{{end}}`), []string{"DIR/signin.html", "signin.html:1"}},
		{"unknown function", file("layout.html", "\n{{nope}}"), []string{"DIR/layout.html", "layout.html:2"}},
		{"unknown field", file("undecided.html", `{{define "main"}}{{.Nope}}{{end}}`), []string{"DIR/undecided.html", "Nope"}},
		{"field wrong only with findings", file("blocked.html", `{{define "main"}}{{range .Sections}}{{range .Items}}{{.Nope}}{{end}}{{end}}{{end}}`), []string{"DIR/blocked.html", "Nope"}},
		{"no main", file("request.html", `hello`), []string{"DIR/request.html", `"main"`}},
		{"unsafe place", file("blocked.html", `{{define "main"}}<a href={{.RetryPath}}'>{{end}}`), []string{"blocked.html"}},
		{"style ends early", file("style.css", "a{}</STYLE ><script>"), []string{"DIR/style.css", "</style"}},
		{"misspelt", file("block.html", "x"), []string{"DIR", "block.html", "blocked.html"}},
		{"empty directory", func(*testing.T, string) {}, []string{"DIR", "holds none"}},
		{"too large", file("blocked.html", strings.Repeat("x", 256<<10+1)), []string{"DIR/blocked.html", "256 KiB"}},
		{"not a file", func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "layout.html"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, []string{"DIR/layout.html", "regular file"}},
		{"no directory", func(t *testing.T, dir string) {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}, []string{"pages directory", "DIR"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.setup(t, dir)
			_, err := New(Options{Dir: dir})
			if err == nil {
				t.Fatal("loaded, want an error")
			}
			for _, w := range tt.want {
				if w = strings.ReplaceAll(w, "DIR", dir); !strings.Contains(err.Error(), w) {
					t.Errorf("error %q, want it to contain %q", err, w)
				}
			}
		})
	}
}

func TestSupport(t *testing.T) {
	pg := gallery()["blocked-one-en"]
	pg.DecisionID = "a b&bcc=x"
	tests := []struct{ name, url, want string }{
		{"Desk", "https://help.example/?a=1&b=2", `Contact <a href="https://help.example/?a=1&amp;b=2">Desk</a> and give`},
		{"Desk", "tel:+4989123", `Contact <a href="tel:&#43;4989123">Desk</a> and give`},
		{"Desk", "mailto:it@corp.example", `<a href="mailto:it@corp.example?subject=Incident%20ID%20a%20b%26bcc%3Dx">Desk</a>`},
		{"Desk", "mailto:it@corp.example?subject=Hi", `<a href="mailto:it@corp.example?subject=Hi">Desk</a>`},
		{"<b>Desk</b>", "", "Contact &lt;b&gt;Desk&lt;/b&gt; and give"},
		{"", "https://help.example/", `<a href="https://help.example/">https://help.example/</a>`},
		{"", "", "Contact your IT team and give"},
	}
	for _, tt := range tests {
		p, err := New(Options{SupportName: tt.name, SupportURL: tt.url})
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if got := rendered(t, p, pg); !strings.Contains(got, tt.want) {
			i := strings.Index(got, "<footer>")
			t.Errorf("%q %q: want %s in %s", tt.name, tt.url, tt.want, got[i:min(len(got), i+300)])
		}
	}
	for _, bad := range []string{"javascript:alert(1)", "data:text/html,x", "help.example", "https://", "https://u:secret@h.example", "mailto:", "http://[", "//h.example"} {
		_, err := New(Options{SupportURL: bad})
		if err == nil {
			t.Errorf("%s: accepted", bad)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("error shows the password: %v", err)
		}
	}
}

func TestStyleHashes(t *testing.T) {
	for _, bad := range []string{"<style", "<style>a", strings.Repeat("<style>a</style>", 9)} {
		if _, err := styleHashes([]byte(bad)); err == nil {
			t.Errorf("%.20q: no error", bad)
		}
	}
	got, err := styleHashes(bytes.Repeat([]byte("<STYLE media=x>a{}</STYLE>"), 2))
	if err != nil || len(got) != 2 || got[0] != got[1] {
		t.Errorf("hashes %v, %v; want the same twice", got, err)
	}
}
