package caddymodule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// lintGlobals is a configuration around one site block. LINE stands for what a
// test adds to the compliance option, GLOBAL for further global options, SERVER for
// the options of servers, which keep connections at a reload if a test says nothing.
const lintGlobals = `{
	grace_period 5s
	servers {
		SERVER
	}
	GLOBAL
	compliance {
		issuer corp https://idp.corp.example {
			audience intranet
			device_claim deviceid entra
		}
		source inventory devices.csv
		policy standard {
			require compliant
		}
		LINE
	}
}
`

const lintHandover = "listener_wrappers {\nhandover\ntls\n}"

const lintCertificate = `client_certificate {
	trust_pool file ca.pem
	device_id entra subject_cn
}`

const lintPinned = `microsoft {
	tenant corp.example
	client_id a
	client_secret {env.SECRET}
}
source entra {
	pinned_certificates experimental
}`

func TestLint(t *testing.T) {
	type row struct {
		name, global, line, sites string
		server                    string
		want                      []string // "severity code", in order
		text                      string   // part of the first finding's line
	}
	const proxy = "reverse_proxy app:8080 {\nstream_close_delay 24h\n}\n"
	tests := []row{
		{name: "clean", sites: "a.example {\ncompliance standard\n" + proxy + "}"},
		{
			name: "open site beside a gated one", sites: "a.example {\ncompliance standard\n" + proxy + "}\nb.example {\n" + proxy + "}",
			want: []string{"error not_covered"}, text: "error: b.example: app:8080 is reached without compliance; put",
		},
		{name: "open on purpose", sites: "a.example {\ncompliance standard\n" + proxy + "}\nb.example {\ncompliance off because \"public\"\n" + proxy + "}"},
		{name: "no gated site", sites: "a.example {\nrespond ok\n}", want: []string{"error nothing_gated", "note open_content"}},
		{
			name: "handle block outside", sites: "a.example {\nhandle /api/* {\ncompliance standard\n" + proxy + "}\nhandle {\n" + proxy + "}\n}",
			want: []string{"error not_covered", "warning no_own_paths"},
		},
		{
			name: "every handle block gated", sites: "a.example {\nhandle /api/* {\ncompliance standard\n" + proxy + "}\nhandle {\ncompliance standard\n" + proxy + "}\n}",
		},
		{
			name: "partly covered", sites: "a.example {\n@f path /finance/*\ncompliance @f standard\n" + proxy + "}",
			want: []string{"warning partly_covered"}, text: "the rules cover only /finance/*; every other request reaches app:8080",
		},
		{
			name: "rule and proxy share the matcher", sites: "a.example {\n@f path /finance/*\ncompliance @f standard\nreverse_proxy @f app:8080 {\nstream_close_delay 24h\n}\n}",
		},
		{
			name: "proxy under the rule's path", sites: "a.example {\n@f path /finance/*\ncompliance @f standard\nhandle_path /finance/eu/* {\n" + proxy + "}\n}",
		},
		{
			name: "proxy beside the rule's path", sites: "a.example {\n@f path /finance/*\ncompliance @f standard\nhandle /finances/* {\n" + proxy + "}\n}",
			want: []string{"warning partly_covered"},
		},
		{
			name: "a rewrite between makes the matcher another one",
			sites: "a.example {\n@f path /app/*\nroute {\ncompliance @f standard\nrewrite /x/* /app/y\nreverse_proxy @f app:8080 {\n" +
				"stream_close_delay 24h\n}\n}\n}",
			want: []string{"warning partly_covered"},
		},
		{
			name: "compliance after the proxy", sites: "a.example {\nroute {\n" + proxy + "compliance standard\n}\n}",
			want: []string{"error not_covered"},
		},
		{
			name: "two rules cover a matcher with alternatives",
			sites: "a.example {\n@a path /a/*\n@b path /b/*\n@ab {\npath /a/* /b/*\n}\ncompliance @a standard\ncompliance @b standard\n" +
				"reverse_proxy @ab app:8080 {\nstream_close_delay 24h\n}\n}",
		},
		{
			name: "fastcgi", sites: "a.example {\ncompliance standard\nrespond ok\n}\nb.example {\nphp_fastcgi app:9000\n}",
			want: []string{"error not_covered"},
		},
		{
			name: "open files and answers", sites: "a.example {\ncompliance standard\n" + proxy + "}\nb.example {\nfile_server\n}\nc.example {\nrespond hello\n}\nd.example {\nredir https://a.example{uri}\n}",
			want: []string{"note open_content", "note open_content"},
		},
		{
			name: "error message and error files", sites: "a.example {\ncompliance standard\n" + proxy + "handle_errors 4xx {\nrespond {err.status_code}\n}\nhandle_errors {\nfile_server\n}\n}",
			want: []string{"note open_content"}, text: "file_server",
		},
		{
			name: "errors reach an upstream", sites: "a.example {\ncompliance standard\n" + proxy + "handle_errors {\nreverse_proxy errors:8080\n}\n}",
			want: []string{"error error_upstream"},
		},
		{
			name: "stream_close_delay", sites: "a.example {\ncompliance standard\nreverse_proxy app:8080\n}",
			want: []string{"warning no_stream_close_delay"},
		},
		{
			name: "own paths of a site with blocks only", sites: "a.example {\nhandle /a/* {\ncompliance standard\n" + proxy + "}\nhandle_path /b/* {\ncompliance standard\n" + proxy + "}\nhandle {\nabort\n}\n}",
			want: []string{"warning no_own_paths"}, text: "a.example",
		},
		{
			name:  "own paths of a site with a line of its own",
			sites: "a.example {\n@gatehouse path /.gatehouse/*\ncompliance @gatehouse standard\nhandle /a/* {\ncompliance standard\n" + proxy + "}\nhandle {\nabort\n}\n}",
		},
		{
			name: "reload", server: "protocols h1 h2", sites: "a.example {\ncompliance standard\n" + proxy + "}",
			want: []string{"note no_handover"},
		},
		{
			name: "reload of what is not gated", server: "protocols h1 h2", sites: "a.example {\nrespond ok\n}",
			want: []string{"error nothing_gated", "note open_content"},
		},
		{
			name: "handover without tls", server: "listener_wrappers {\nhandover\n}", sites: "a.example {\ncompliance standard\n" + proxy + "}",
			want: []string{"warning handover_behind_tls"}, text: "write tls behind handover",
		},
		{
			name: "handover behind tls", server: "listener_wrappers {\nhttp_redirect\ntls\nhandover\n}",
			sites: "a.example {\ncompliance standard\n" + proxy + "}",
			want:  []string{"warning handover_behind_tls"}, text: "write handover before tls",
		},
		{
			name: "admin endpoint", sites: "a.example {\ncompliance standard\nreverse_proxy 127.0.0.1:2019 {\nstream_close_delay 1h\n}\n}",
			want: []string{"error admin_upstream"},
		},
		{
			name: "admin endpoint elsewhere", global: "admin :3000", sites: "a.example {\ncompliance standard\nreverse_proxy localhost:3000 {\nstream_close_delay 1h\n}\n}",
			want: []string{"error admin_upstream"},
		},
		{
			name: "admin endpoint off", global: "admin off", sites: "a.example {\ncompliance standard\nreverse_proxy localhost:2019 {\nstream_close_delay 1h\n}\n}",
		},
		{
			name: "named route", sites: "&(app) {\n" + proxy + "}\na.example {\ncompliance standard\ninvoke app\n}\nb.example {\ninvoke app\n}",
			want: []string{"error not_covered"},
		},
		{
			name: "mode request", line: lintCertificate,
			sites: "a.example {\ntls {\nclient_auth {\nmode request\n}\n}\ncompliance standard\n" + proxy + "}",
			want:  []string{"error verifies_nothing"},
		},
		{
			name:  "mode require without a client_certificate block",
			sites: "a.example {\ntls {\nclient_auth {\nmode require\n}\n}\ncompliance standard\n" + proxy + "}",
			want:  []string{"error verifies_nothing"}, text: "a.example: client_auth mode require",
		},
		{
			name:  "verified certificates for somebody else",
			sites: "a.example {\ntls {\nclient_auth {\nmode require_and_verify\ntrust_pool file ca.pem\n}\n}\ncompliance standard\n" + proxy + "}",
		},
		{
			name: "mode request for pinned certificates", line: lintPinned,
			sites: "a.example {\ntls {\nclient_auth {\nmode request\n}\n}\ncompliance standard\n" + proxy + "}",
		},
		{
			name: "a proxy sends the subject of any certificate", line: lintPinned,
			sites: "a.example {\ntls {\nclient_auth {\nmode request\n}\n}\ncompliance standard\nreverse_proxy app:8080 {\nstream_close_delay 24h\nheader_up X-Subject {tls_client_subject}\n}\n}",
			want:  []string{"error self_made_certificate"}, text: "a.example: a placeholder of the client's certificate",
		},
		{
			name: "a matcher reads any certificate", line: lintPinned,
			sites: "*.example {\ntls {\nclient_auth {\nmode require\n}\n}\n@boss vars {tls_client_subject} CN=boss\ncompliance standard\nhandle @boss {\n" + proxy + "}\n}",
			want:  []string{"error self_made_certificate"},
		},
		{
			name: "a rule's matcher reads any certificate", line: lintPinned,
			sites: "a.example {\ntls {\nclient_auth {\nmode request\n}\n}\n@boss expression {tls_client_serial} == \"1\"\ncompliance standard\ncompliance @boss standard\n" + proxy + "}",
			want:  []string{"error self_made_certificate"},
		},
		{
			name: "an error route reads any certificate", line: lintPinned,
			sites: "a.example {\ntls {\nclient_auth {\nmode request\n}\n}\ncompliance standard\n" + proxy + "handle_errors {\nrespond {http.request.tls.client.issuer}\n}\n}",
			want:  []string{"error self_made_certificate"},
		},
		{
			name:  "any certificate without anything that takes one",
			sites: "a.example {\ntls {\nclient_auth {\nmode request\n}\n}\ncompliance standard\nrequest_header X-Fingerprint {tls_client_fingerprint}\n" + proxy + "}",
			want:  []string{"error verifies_nothing", "error self_made_certificate"},
		},
		{
			name: "the site that reads certificates verifies them", line: lintPinned,
			sites: "a.example {\ntls {\nclient_auth {\nmode request\n}\n}\ncompliance standard\n" + proxy + "}\n" +
				"b.example {\ntls {\nclient_auth {\nmode require_and_verify\ntrust_pool file ca.pem\n}\n}\ncompliance standard\nrequest_header X-Subject {tls_client_subject}\n" + proxy + "}",
		},
		{
			name: "the version of TLS is nobody's word", line: lintPinned,
			sites: "a.example {\ntls {\nclient_auth {\nmode request\n}\n}\ncompliance standard\nrequest_header X-TLS {tls_version}\n" + proxy + "}",
		},
		{
			name: "nobody asks for pinned certificates", line: lintPinned, sites: "a.example {\ncompliance standard\n" + proxy + "}",
			want: []string{"warning no_client_auth"}, text: "mode request",
		},
		{
			name: "insecure SNI with pinned certificates", line: lintPinned, server: lintHandover + "\nstrict_sni_host insecure_off",
			sites: "a.example {\ntls {\nclient_auth {\nmode request\n}\n}\ncompliance standard\n" + proxy + "}",
			want:  []string{"error insecure_sni"},
		},
		{
			name: "no trust pool", line: lintCertificate,
			sites: "a.example {\ntls {\nclient_auth {\nmode require_and_verify\n}\n}\ncompliance standard\n" + proxy + "}",
			want:  []string{"error no_trust_pool"},
		},
		{
			name: "trust pool", line: lintCertificate,
			sites: "a.example {\ntls {\nclient_auth {\nmode verify_if_given\ntrust_pool file ca.pem\n}\n}\ncompliance standard\n" + proxy + "}",
		},
		{
			name: "nobody asks for certificates", line: lintCertificate, sites: "a.example {\ncompliance standard\n" + proxy + "}",
			want: []string{"warning no_client_auth"}, text: "Caddyfile:",
		},
		{
			name: "insecure SNI", line: lintCertificate, server: lintHandover + "\nstrict_sni_host insecure_off",
			sites: "a.example {\ntls {\nclient_auth {\nmode verify_if_given\ntrust_pool file ca.pem\n}\n}\ncompliance standard\n" + proxy + "}",
			want:  []string{"error insecure_sni"},
		},
		{
			name: "clients behind a proxy", line: lintCertificate + "\nforwarded_certificate rfc9440 {\nfrom 10.0.0.0/8\n}\npolicy office {\nrequire network 192.0.2.0/24\n}",
			sites: "a.example {\ncompliance office\n" + proxy + "}", want: []string{"warning no_trusted_proxies"},
		},
		{
			name: "trusted proxies", line: lintCertificate + "\nforwarded_certificate rfc9440 {\nfrom 10.0.0.0/8\n}\npolicy office {\nrequire network 192.0.2.0/24\n}",
			server: lintHandover + "\ntrusted_proxies static 10.0.0.0/8", sites: "a.example {\ncompliance office\n" + proxy + "}",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.NewReplacer("SERVER", cmp.Or(tc.server, lintHandover), "LINE", tc.line, "GLOBAL", tc.global).Replace(lintGlobals) + tc.sites
			config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
			if err != nil {
				t.Fatal(err)
			}
			checkLint(t, config, tc.want, tc.text)
		})
	}
}

func checkLint(t *testing.T, config []byte, want []string, text string) {
	t.Helper()
	findings, err := Lint(config)
	if err != nil {
		t.Fatal(err)
	}
	var got, lines []string
	for i := range findings {
		f := &findings[i]
		got = append(got, string(f.Severity)+" "+f.Code)
		lines = append(lines, f.String())
		if f.Place == "" || f.Text == "" || f.Do == "" || strings.Contains(f.String(), "\n") {
			t.Errorf("incomplete finding: %q", f.String())
		}
	}
	all := strings.Join(lines, "\n")
	if !slices.Equal(got, want) {
		t.Errorf("findings %q, want %q\n%s", got, want, all)
	}
	if !strings.Contains(all, text) {
		t.Errorf("findings do not say %q:\n%s", text, all)
	}
}

// Configurations that only JSON can express, or whose handlers are not in this
// binary.
func TestLintJSON(t *testing.T) {
	const gate = `{"handler":"compliance","rules":[{"policy":"standard"}]}`
	const proxy = `{"handler":"reverse_proxy","upstreams":[{"dial":"app:8080"}],"stream_close_delay":"1h"}`
	tests := []struct {
		name, routes, more string
		want               []string
	}{
		{"cache in front", `[{"handle":[{"handler":"cache"},` + gate + `,` + proxy + `]}]`, "", []string{"error cache_in_front"}},
		{"cache behind", `[{"handle":[` + gate + `,{"handler":"cache"},` + proxy + `]}]`, "", nil},
		{
			"cache of another site",
			`[{"match":[{"host":["a"]}],"terminal":true,"handle":[{"handler":"cache"},{"handler":"static_response","status_code":302}]},{"handle":[` + gate + `,` + proxy + `]}]`,
			"", nil,
		},
		{"unknown handler", `[{"handle":[{"handler":"teapot"},` + gate + `,` + proxy + `]}]`, "", []string{"warning open_handler"}},
		{"unknown handler with fields of its own", `[{"handle":[` + gate + `,{"handler":"teapot","routes":7}]}]`, "", nil},
		{
			"alternatives covered by two rules",
			`[{"handle":[{"handler":"compliance","rules":[{"policy":"p","match":{"path":["/a"]}},{"policy":"p","match":{"path":["/b"]}}]}]},` +
				`{"match":[{"path":["/a"]},{"path":["/b"]}],"handle":[` + proxy + `]}]`,
			"", nil,
		},
		{
			"a gate under a matcher does not cover its siblings",
			`[{"match":[{"path":["/a"]}],"handle":[` + gate + `]},{"handle":[` + proxy + `]}]`, "",
			[]string{"error not_covered", "warning no_own_paths"},
		},
		{
			"named route that calls itself", `[{"handle":[` + gate + `,{"handler":"invoke","name":"x"}]}]`,
			`,"named_routes":{"x":{"handle":[{"handler":"invoke","name":"x"}]}}`, nil,
		},
		{
			"reverse_proxy in handle_response", `[{"handle":[{"handler":"intercept","handle_response":[{"routes":[{"handle":[` + proxy + `]}]}]},` + gate + `]}]`, "",
			[]string{"error not_covered"},
		},
		{
			"shadowed TLS policy", `[{"handle":[` + gate + `,` + proxy + `]}]`,
			`,"tls_connection_policies":[{"match":{"sni":["*.corp.example"]}},{"match":{"sni":["f.corp.example"]},"client_authentication":{"mode":"verify_if_given","ca":{"provider":"file"}}}]`,
			[]string{"warning shadowed_client_auth"},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			config := `{"apps":{"http":{"grace_period":5,"servers":{"srv0":{"listen":[":443"],"listener_wrappers":[{"wrapper":"handover"},{"wrapper":"tls"}],"routes":` + tc.routes + tc.more +
				`}}},"compliance":{"client_certificate":{}, "forwarded_certificate":{}}}}`
			if !json.Valid([]byte(config)) {
				t.Fatal("the test's JSON is broken")
			}
			checkLint(t, []byte(config), tc.want, "")
		})
	}
}

// TestLintBounds: what Lint does not follow it says, and a server that never stops
// is noted.
func TestLintBounds(t *testing.T) {
	const gate = `{"handler":"compliance","rules":[{"policy":"standard"}]}`
	deep := `{"handler":"static_response","abort":true}`
	for range maxDepth {
		deep = `{"handler":"subroute","routes":[{"handle":[` + deep + `]}]}`
	}
	for grace, want := range map[string][]string{
		`"grace_period":5,`: {"warning too_deep"},
		`"grace_period":0,`: {"warning too_deep", "note no_grace_period"},
		"":                  {"warning too_deep", "note no_grace_period"},
	} {
		checkLint(t, []byte(`{"apps":{"compliance":{},"http":{`+grace+`"servers":{"s":{"listener_wrappers":[{"wrapper":"handover"},{"wrapper":"tls"}],"routes":[{"handle":[`+gate+`,`+deep+`]}]}}}}}`), want, "")
	}
}

func TestHostsMeet(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"a.example", "A.example", true},
		{"a.example", "b.example", false},
		{"*.example", "a.example", true},
		{"a.example", "*.example", true},
		{"*.example", "*.b.example", true},
		{"*.example", "example", false},
		{"*.a.example", "b.example", false},
		{"a.*.example", "b.example", true}, // in doubt
		{"{env.SITE}", "b.example", true},
	} {
		if got := hostsMeet(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %t", tt.a, tt.b, got)
		}
	}
}

func TestLintRefuses(t *testing.T) {
	for config, want := range map[string]string{
		`{`:           "configuration: unexpected end",
		`{"apps":{}}`: "has no compliance app",
		`{"apps":{"http":{"servers":{"a":{"routes":7}}},"compliance":{}}}`: "cannot unmarshal",
	} {
		_, err := Lint([]byte(config))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Lint(%s): %v, want %q in it", config, err, want)
		}
	}
}

// Named routes that fan out must not take for ever.
func TestLintFanOut(t *testing.T) {
	named := map[string]any{}
	for i := range 40 {
		call := map[string]any{"handler": "invoke", "name": fmt.Sprint("r", i+1)}
		named[fmt.Sprint("r", i)] = map[string]any{"handle": []any{call, call}}
	}
	config, err := json.Marshal(map[string]any{"apps": map[string]any{"compliance": map[string]any{}, "http": map[string]any{
		"grace_period": 1,
		"servers": map[string]any{"s": map[string]any{
			"named_routes": named,
			"routes":       []any{map[string]any{"handle": []any{map[string]any{"handler": "invoke", "name": "r0"}}}},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	checkLint(t, config, []string{"error nothing_gated", "warning too_many"}, "")
}

// Whatever the configuration, Lint answers, and its findings are complete.
func FuzzLint(f *testing.F) {
	for _, seed := range []string{
		`{"apps":{"compliance":{},"http":{"servers":{"s":{"routes":[{"match":[{"path":["/a*"]}],"handle":[{"handler":"compliance","rules":[{"policy":"p","match":{"path":["/a*"]}}]},{"handler":"reverse_proxy","upstreams":[{"dial":"localhost:2019"}]}]}]}}}}}`,
		`{"apps":{"compliance":{"client_certificate":{}},"http":{"servers":{"s":{"tls_connection_policies":[{"match":{"sni":["*.a"]}},{"match":{"sni":["b.a"]},"client_authentication":{"mode":"require"}}],"errors":{"routes":[{"handle":[{"handler":"invoke","name":"x"}]}]},"named_routes":{"x":null}},"t":null}}}}`,
		`{"apps":{"compliance":{"policies":[{"lines":[{"words":["require","network"]}]}],"forwarded_certificate":{}},"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"compliance","rules":[null]},{"handler":"cache"},null,7]}]}}}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		findings, err := Lint(config)
		if err != nil {
			return
		}
		for i := range findings {
			if one := &findings[i]; one.Text == "" || one.Do == "" || one.Code == "" || strings.ContainsAny(one.String(), "\n\r\x1b") {
				t.Errorf("finding %+v", one)
			}
		}
	})
}
