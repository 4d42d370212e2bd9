package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

var styleRE = regexp.MustCompile(`(?s)<style>(.*?)</style>`)

// checkHashes fails if a browser would refuse a style of any page.
func checkHashes(t *testing.T, p *Pages, want int) {
	t.Helper()
	h := http.Header{}
	p.Headers(h)
	csp := h.Get("Content-Security-Policy")
	for name, pg := range gallery() {
		styles := styleRE.FindAllStringSubmatch(rendered(t, p, pg), -1)
		if len(styles) != want {
			t.Fatalf("%s: %d styles, want %d", name, len(styles), want)
		}
		for _, s := range styles {
			sum := sha256.Sum256([]byte(s[1]))
			if hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(csp, hash) {
				t.Errorf("%s: policy %q lacks %s", name, csp, hash)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	p := newPages(t)
	checkHashes(t, p, 1)
	h := http.Header{}
	h.Set("Vary", "accept-encoding, Accept")
	h.Set("Content-Security-Policy", "default-src *")
	p.Headers(h)
	p.Headers(h) // twice changes nothing
	want := map[string]string{
		"Cache-Control":          "no-store",
		"Content-Type":           "text/html; charset=utf-8",
		"Referrer-Policy":        "no-referrer",
		"X-Content-Type-Options": "nosniff",
		"X-Frame-Options":        "DENY",
	}
	for k, v := range want {
		if got := h.Values(k); len(got) != 1 || got[0] != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
	csp := regexp.MustCompile(`^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; base-uri 'none'; form-action 'self'; frame-ancestors 'none'$`)
	if got := h.Get("Content-Security-Policy"); !csp.MatchString(got) {
		t.Errorf("policy %q", got)
	}
	vary := strings.Join(h.Values("Vary"), ", ")
	for _, name := range []string{"accept-encoding", "Accept", "Accept-Language", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Cookie", "Authorization"} {
		if n := slices.Index(strings.Split(vary, ", "), name); n < 0 {
			t.Errorf("Vary %q lacks %s", vary, name)
		}
	}
	if n := len(strings.Split(vary, ", ")); n != 7 {
		t.Errorf("Vary %q has %d names, want 7", vary, n)
	}
}

// Nothing from outside becomes markup, a link, a template or a placeholder.
func TestEscaping(t *testing.T) {
	const evil = `"><script>alert(1)</script>{env.HOME}{{.Status}}` + "\u202egnp\u0000\x1b'`</style><a href=javascript:x>"
	long := strings.Repeat("A\u0301\u0301\u0301", 5000)
	p, err := New(Options{SupportName: evil})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{evil, long} {
		for kind := range numKinds + 3 {
			pg := &Page{
				Kind: kind, Lang: value, DecisionID: value, Device: value, User: value, RetryPath: "/" + value, ManageURL: "https://x.example/" + value,
				Management: decision.Management{Manager: decision.ManagerPartner, App: value},
				Accepts:    Accepts{Issuers: slices.Repeat([]string{value}, 100), Certificate: true}, Now: time.Unix(0, 0),
			}
			for r := decision.NoReason; r < decision.NumReasons; r++ {
				for e := decision.EffectNone; e <= decision.EffectBlock; e++ {
					pg.Findings = append(pg.Findings, decision.Finding{Reason: r, Effect: e, Param: value, Exempt: value, Source: value})
				}
			}
			// The catalogue in front would hide these behind the bound.
			pg.Findings = append([]decision.Finding{
				{Reason: decision.ExpressionFailed, Effect: decision.EffectBlock, Param: value},
				{Reason: decision.Noncompliant, Effect: decision.EffectBlock, Param: value + ", " + value},
			}, pg.Findings...)
			got := rendered(t, p, pg)
			parseHTML(t, got)
			if len(got) > 96<<10 {
				t.Errorf("kind %d: %d bytes", kind, len(got))
			}
			if strings.ContainsAny(got, "\u202e\x00\x1b") {
				t.Errorf("kind %d: control or direction character left", kind)
			}
			if kind == Blocked && value == evil && !strings.Contains(html.UnescapeString(got), `<dd><bdi>"><script>alert(1)</script>{env.HOME}{{.Status}}gnp`) {
				t.Errorf("the value is not shown as it is")
			}
		}
	}
}

func TestRetryPath(t *testing.T) {
	p := newPages(t)
	tests := []struct{ path, want string }{
		{"/", "/"},
		{"/a/b%20c", "/a/b%20c"},
		{"/a?b=1", "/a?b=1"},
		{"/\u00fc", "/%c3%bc"},
		{"", ""},
		{"//evil.example", ""},
		{`/\evil.example`, ""},
		{`/a\..\b`, ""},
		{"/a\nb", ""},
		{"/\t/evil.example", ""},
		{"https://evil.example/", ""},
		{"javascript:alert(1)", ""},
		{"relative", ""},
		{"/" + strings.Repeat("a", 2048), ""},
	}
	for _, tt := range tests {
		all := parseHTML(t, rendered(t, p, &Page{RetryPath: tt.path}))
		got := ""
		for _, e := range named(all, "a") {
			if e.attr["class"] != "" {
				got = e.attr["href"]
			}
		}
		if got != tt.want {
			t.Errorf("RetryPath %.40q: link %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestManageURL(t *testing.T) {
	p := newPages(t)
	finding := []decision.Finding{{Reason: decision.NotEncrypted, Effect: decision.EffectBlock}}
	intune := decision.Management{Manager: decision.ManagerIntune}
	tests := []struct {
		pg   Page
		want bool
	}{
		{Page{ManageURL: "https://portal.example/d", Management: intune, Findings: finding}, true},
		{Page{ManageURL: "https://portal.example/d", Findings: finding}, false}, // nobody knows who manages the device
		{Page{ManageURL: "http://portal.example/d", Management: intune, Findings: finding}, false},
		{Page{ManageURL: "javascript:alert(1)", Management: intune, Findings: finding}, false},
		{Page{ManageURL: "https://u@portal.example/", Management: intune, Findings: finding}, false},
		{Page{ManageURL: "https://portal.example/d", Management: intune, Findings: []decision.Finding{{Reason: decision.GroupMissing, Effect: decision.EffectBlock}}}, false},
		{Page{ManageURL: "https://portal.example/d", Management: intune, Findings: finding, Kind: SignIn}, false},
		{Page{ManageURL: "https://portal.example/d", Management: intune, Findings: finding, Kind: Undecided}, false},
		{Page{ManageURL: "https://portal.example/d", Management: intune, Findings: finding, Kind: BadRequest}, false},
	}
	for i, tt := range tests {
		if got := strings.Contains(rendered(t, p, &tt.pg), ">Open Company Portal</a>"); got != tt.want {
			t.Errorf("%d: link shown %t, want %t", i, got, tt.want)
		}
	}
}

// TestManaged: the page names who manages the device and what to do there, once,
// and only where that is known and the device is at fault.
func TestManaged(t *testing.T) {
	const b = decision.EffectBlock
	device := []decision.Finding{{Reason: decision.NotEncrypted, Effect: b}}
	tests := []struct {
		name  string
		pg    Page
		shown []string
		not   []string
	}{
		{"unknown", Page{Findings: device}, nil, []string{"manages this device", "looks after", "Company Portal"}},
		{
			"Intune",
			Page{Findings: device, Platform: decision.IOS, Management: decision.Management{Manager: decision.ManagerIntune}},
			[]string{"Microsoft Intune manages this device. Open Company Portal, tap Devices"},
			nil,
		},
		{
			"steps said already",
			Page{Findings: []decision.Finding{{Reason: decision.Noncompliant, Effect: b}}, Platform: decision.Windows, Management: decision.Management{Manager: decision.ManagerIntune}},
			[]string{"<p>Open Company Portal, select", `Microsoft Intune manages this device.</p>`},
			nil,
		},
		{
			"Configuration Manager",
			Page{Findings: []decision.Finding{{Reason: decision.Noncompliant, Effect: b}}, Platform: decision.Windows, Management: decision.Management{Manager: decision.ManagerConfigMgr}},
			[]string{"Configuration Manager manages this device.", "<p>Open Software Center"},
			[]string{"Company Portal"},
		},
		{
			"partner, in German",
			Page{Lang: "de", Findings: device, Platform: decision.MacOS, Management: decision.Management{Manager: decision.ManagerPartner, App: "<Hub>"}, ManageURL: "https://hub.example/"},
			[]string{"Die Geräteverwaltung Ihrer Firma betreut dieses Gerät.", "&lt;Hub&gt; und folgen", "&lt;Hub&gt; öffnen</a>"},
			[]string{"Unternehmensportal"},
		},
		{
			"the account is at fault",
			Page{Findings: []decision.Finding{{Reason: decision.GroupMissing, Effect: b}}, Management: decision.Management{Manager: decision.ManagerIntune}},
			nil,
			[]string{"manages this device"},
		},
		{
			"undecided",
			Page{Kind: Undecided, Findings: []decision.Finding{{Reason: decision.SourceFailing, Effect: decision.EffectUndecided}}, Management: decision.Management{Manager: decision.ManagerIntune}},
			nil,
			[]string{"manages this device"},
		},
	}
	p := newPages(t)
	for _, tt := range tests {
		got := rendered(t, p, &tt.pg)
		parseHTML(t, got)
		for _, s := range tt.shown {
			if n := strings.Count(got, s); n != 1 {
				t.Errorf("%s: %q is shown %d times, want once", tt.name, s, n)
			}
		}
		for _, s := range tt.not {
			if strings.Contains(got, s) {
				t.Errorf("%s: %q is shown", tt.name, s)
			}
		}
	}
}

func TestWrite(t *testing.T) {
	p := newPages(t)
	tests := []struct {
		pg     Page
		status int
		retry  string
	}{
		{Page{}, 403, ""},
		{Page{Kind: Undecided, RetryAfter: 1500 * time.Millisecond}, 503, "2"},
		{Page{Kind: SignIn}, 401, ""},
		{Page{Kind: BadRequest}, 400, ""},
		{Page{Kind: BadRequest, Status: 405}, 405, ""},
		{Page{Kind: Blocked, Status: 200}, 403, ""},
		{Page{Kind: 200}, 403, ""},
		{Page{Kind: Undecided, RetryAfter: -time.Second}, 503, ""},
		{Page{Kind: Undecided, RetryAfter: 1 << 62}, 503, "86400"},
	}
	for i, tt := range tests {
		w := httptest.NewRecorder()
		if err := p.Write(w, &tt.pg); err != nil {
			t.Fatal(err)
		}
		if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retry {
			t.Errorf("%d: status %d, Retry-After %q; want %d, %q", i, w.Code, w.Header().Get("Retry-After"), tt.status, tt.retry)
		}
		if got := w.Header().Get("Content-Language"); got != "en" {
			t.Errorf("%d: Content-Language %q, want en", i, got)
		}
		if got := w.Header().Get("Content-Length"); got != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%d: Content-Length %s, body %d", i, got, w.Body.Len())
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRenderReportsWriteErrors(t *testing.T) {
	if err := newPages(t).Render(brokenWriter{}, &Page{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v, want %v", err, io.ErrClosedPipe)
	}
}

// A template that fails only for some data must not fail the answer.
func TestWriteFallsBackToText(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "blocked.html", `{{define "main"}}{{if eq .Device "bad"}}{{index .Sections 99}}{{end}}{{end}}`)
	p, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	err = p.Write(w, &Page{Device: "bad", DecisionID: "id1"})
	if err == nil || !strings.Contains(err.Error(), "blocked.html") {
		t.Errorf("error %v, want one that names blocked.html", err)
	}
	if got := w.Body.String(); w.Code != 403 || !strings.Contains(got, "Incident ID: id1") || strings.Contains(got, "<") {
		t.Errorf("%d %q, want 403 and plain text with the incident", w.Code, got)
	}
	if ct := w.Header().Get("Content-Type"); ct != "text/plain; charset=utf-8" {
		t.Errorf("Content-Type %q", ct)
	}
}

func TestConcurrentRender(t *testing.T) {
	p := newPages(t)
	pages := gallery()
	want := map[string]string{}
	for name, pg := range pages {
		want[name] = rendered(t, p, pg)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for name, pg := range pages {
				if got := rendered(t, p, pg); got != want[name] {
					t.Errorf("%s differs when rendered at the same time", name)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkRender(b *testing.B) {
	p := newPages(b)
	for _, name := range []string{"blocked-many-en", "signin-en"} {
		pg := gallery()[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Render(io.Discard, pg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
