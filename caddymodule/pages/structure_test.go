package pages

import (
	"html"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	tagRE  = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z-]+(?:="[^"]*")?)*)\s*(/?)>`)
	attrRE = regexp.MustCompile(`([a-zA-Z-]+)="([^"]*)"`)
	voids  = []string{"meta", "br"}
)

// element is one opening tag, in document order.
type element struct {
	name string
	attr map[string]string
}

// parseHTML reads the markup that our templates may use. It fails on anything
// that is not closed in order and on a bare "<" outside the style.
func parseHTML(t *testing.T, page string) []element {
	t.Helper()
	body := regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAllString(page, "<style></style>")
	body = strings.TrimPrefix(body, "<!DOCTYPE html>\n")
	var all []element
	var open []string
	rest := tagRE.ReplaceAllStringFunc(body, func(tag string) string {
		m := tagRE.FindStringSubmatch(tag)
		closing, name, selfClosed := m[1] == "/", m[2], m[4] == "/"
		if closing {
			if len(open) == 0 || open[len(open)-1] != name {
				t.Fatalf("</%s> closes %v", name, open)
			}
			open = open[:len(open)-1]
			return ""
		}
		e := element{name: name, attr: map[string]string{}}
		for _, a := range attrRE.FindAllStringSubmatch(m[3], -1) {
			e.attr[a[1]] = html.UnescapeString(a[2])
		}
		all = append(all, e)
		if !selfClosed && !slices.Contains(voids, name) {
			open = append(open, name)
		}
		return ""
	})
	if len(open) > 0 {
		t.Fatalf("not closed: %v", open)
	}
	if strings.ContainsAny(rest, "<>") {
		i := strings.IndexAny(rest, "<>")
		t.Fatalf("bare angle bracket near %q", rest[max(0, i-30):min(len(rest), i+30)])
	}
	return all
}

func named(all []element, name string) []element {
	var found []element
	for _, e := range all {
		if e.name == name {
			found = append(found, e)
		}
	}
	return found
}

// Every page must be usable with a keyboard, a screen reader and no script.
func TestStructure(t *testing.T) {
	p := newPages(t)
	for name, pg := range gallery() {
		t.Run(name, func(t *testing.T) {
			all := parseHTML(t, rendered(t, p, pg))
			if got := named(all, "html"); len(got) != 1 || got[0].attr["lang"] != pg.Lang {
				t.Errorf("html %v, want lang %s", got, pg.Lang)
			}
			for _, one := range []string{"title", "h1", "header", "main", "footer", "style", "body"} {
				if n := len(named(all, one)); n != 1 {
					t.Errorf("%d %s elements, want 1", n, one)
				}
			}
			for _, none := range []string{"script", "img", "link", "iframe", "form", "object", "base"} {
				if n := len(named(all, none)); n != 0 {
					t.Errorf("%d %s elements, want none", n, none)
				}
			}
			ids := map[string]bool{}
			level := 0
			for _, e := range all {
				if id := e.attr["id"]; id != "" {
					if ids[id] {
						t.Errorf("id %q twice", id)
					}
					ids[id] = true
				}
				if len(e.name) == 2 && e.name[0] == 'h' && e.name != "hr" {
					n, _ := strconv.Atoi(e.name[1:])
					if n > level+1 {
						t.Errorf("%s follows h%d", e.name, level)
					}
					level = n
				}
				for a := range e.attr {
					if a == "style" || strings.HasPrefix(a, "on") {
						t.Errorf("%s has attribute %s, which the policy forbids", e.name, a)
					}
				}
				if e.name == "svg" && e.attr["aria-hidden"] != "true" {
					t.Error("decoration is not hidden from assistive technology")
				}
				if e.name == "meta" && e.attr["http-equiv"] != "" {
					t.Errorf("meta http-equiv %q: pages do not reload themselves", e.attr["http-equiv"])
				}
			}
			for _, e := range named(all, "section") {
				if l := e.attr["aria-labelledby"]; !ids[l] {
					t.Errorf("section is labelled by %q, which is not there", l)
				}
			}
		})
	}
}

// luminance and contrast follow WCAG 2.2, relative luminance and contrast ratio.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	if err != nil || len(hex) != 7 {
		t.Fatalf("colour %q", hex)
	}
	channel := func(v uint64) float64 {
		c := float64(v&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(n>>16) + 0.7152*channel(n>>8) + 0.0722*channel(n)
}

func contrast(a, b float64) float64 { return (max(a, b) + 0.05) / (min(a, b) + 0.05) }

// Every pair of text and ground in the style reaches 4.5 to 1 in both themes.
func TestContrast(t *testing.T) {
	css, err := builtin.ReadFile("templates/" + styleFile)
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("style has no dark theme")
	}
	dark, _, _ = strings.Cut(dark, "\n}\n")
	colour := regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)
	for theme, text := range map[string]string{"light": light, "dark": dark} {
		value := map[string]float64{}
		for _, m := range colour.FindAllStringSubmatch(text, -1) {
			value[m[1]] = luminance(t, m[2])
		}
		for _, pair := range [][2]string{
			{"text", "card"},
			{"text", "ground"},
			{"text", "chip"},
			{"soft", "card"},
			{"soft", "ground"},
			{"accent", "card"},
			{"accent", "ground"},
			{"on-accent", "accent"},
			{"stop", "card"},
			{"soon", "card"},
			{"unsure", "card"},
		} {
			fg, ok := value[pair[0]]
			bg, ok2 := value[pair[1]]
			if !ok || !ok2 {
				t.Fatalf("%s theme lacks %v", theme, pair)
			}
			if c := contrast(fg, bg); c < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want 4.5", theme, pair[0], pair[1], c)
			}
		}
	}
	for _, want := range []string{":focus-visible { outline: 3px", "forced-colors: active", "max-width: 30rem"} {
		if !strings.Contains(string(css), want) {
			t.Errorf("style lacks %q", want)
		}
	}
}
