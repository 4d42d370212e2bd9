package identity

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestFetchDiscovery(t *testing.T) {
	set := testSet(t, testJWK(t, "ec", "ec", nil))
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }))
	defer elsewhere.Close()

	document := func(issuer, keys string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"issuer":"` + issuer + `","jwks_uri":"` + keys + `"}`))
		}
	}
	const well = "/.well-known/openid-configuration"
	mux.HandleFunc("/good"+well, document(server.URL+"/good", server.URL+"/keys"))
	mux.HandleFunc("/slash"+well, document(server.URL+"/slash/", server.URL+"/keys"))
	mux.HandleFunc("/liar"+well, document(server.URL+"/other", server.URL+"/keys"))
	mux.HandleFunc("/plain"+well, document(server.URL+"/plain", "http://keys.example/keys"))
	mux.HandleFunc("/file"+well, document(server.URL+"/file", "file:///etc/keys"))
	mux.HandleFunc("/nokeys"+well, document(server.URL+"/nokeys", ""))
	mux.HandleFunc("/html"+well, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	mux.HandleFunc("/away"+well, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/away"+well, http.StatusFound)
	})
	mux.HandleFunc("/moved"+well, document(server.URL+"/moved", server.URL+"/here"))
	mux.Handle("/here", http.RedirectHandler("/keys", http.StatusFound))
	mux.HandleFunc("/off"+well, document(server.URL+"/off", server.URL+"/there"))
	mux.Handle("/there", http.RedirectHandler(elsewhere.URL+"/keys?token=secret", http.StatusFound))
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=600")
		_, _ = w.Write(set)
	})

	for _, tc := range []struct{ path, want string }{
		{"/good", ""},
		{"/slash/", ""},
		{"/moved", ""},
		{"/liar", "names issuer"},
		{"/plain", "loopback"},
		{"/file", "jwks_uri"},
		{"/nokeys", "jwks_uri"},
		{"/html", "not JSON"},
		{"/away", "redirected elsewhere"},
		{"/off", "redirected elsewhere"},
		{"/missing", "status 404"},
	} {
		origin := &jwksHTTP{client: jwksClient(server.Client()), issuer: server.URL + tc.path}
		body, maxAge, err := origin.read(t.Context())
		if tc.want == "" {
			if err != nil || string(body) != string(set) || maxAge != 10*time.Minute {
				t.Errorf("%s: got %d bytes, %s, %v", tc.path, len(body), maxAge, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %q", tc.path, err, tc.want)
		}
	}
	server.Client().CloseIdleConnections()
}

// TestFetchRediscovers checks that an issuer which moves its keys is followed,
// at once when the old address fails and within a day when it does not.
func TestFetchRediscovers(t *testing.T) {
	keys := "/old"
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if keys == "" {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"issuer":"` + server.URL + `","jwks_uri":"` + server.URL + keys + `"}`))
	})
	for _, path := range []string{"/old", "/new"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(path)) })
	}
	origin := &jwksHTTP{client: jwksClient(server.Client()), issuer: server.URL}
	for i := 1; i <= 2*jwksRediscover; i++ {
		want := "/old"
		switch {
		case i >= 2*jwksRediscover:
			want = "/new"
			keys = "/new"
		case i > 10:
			keys = "" // the metadata is down: the known address goes on
		}
		body, _, err := origin.read(t.Context())
		if err != nil || string(body) != want {
			t.Fatalf("read %d: got %q, %v, want %q", i, body, err, want)
		}
	}
	origin.url = server.URL + "/gone"
	if _, _, err := origin.read(t.Context()); err == nil {
		t.Error("address gone: got no error")
	}
	if body, _, err := origin.read(t.Context()); err != nil || string(body) != "/new" {
		t.Errorf("after that: got %q, %v, want /new", body, err)
	}
	server.Client().CloseIdleConnections()
}

// TestFetchDefaultClient checks the limits of the client that is used when none
// is configured.
func TestFetchDefaultClient(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat("a", jwksMaxBytes+1)))
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	server := httptest.NewServer(mux) // plain HTTP, on loopback
	defer server.Close()
	for path, want := range map[string]string{"/long": "longer than", "/loop": "redirected", "/ok": ""} {
		origin := &jwksHTTP{client: jwksClient(nil), url: server.URL + path}
		_, _, err := origin.read(t.Context())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if c := jwksClient(nil); c.Timeout != jwksTimeout || c == http.DefaultClient {
		t.Error("default client: no timeout of its own")
	}
	given := &http.Client{}
	if c := jwksClient(given); c.Timeout == 0 || given.Timeout != 0 {
		t.Error("given client: not copied, or left without a timeout")
	}
}

func TestFetchMaxAge(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "no-store": 0, "max-age=60": time.Minute, "public, Max-Age=\"60\"": time.Minute,
		"max-age=-1": 0, "max-age=x": 0, "max-age=99999999999999999999": 0, "s-maxage=60": 0,
	} {
		if got := jwksMaxAge(http.Header{"Cache-Control": {text}}); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestIssuerCheckURL(t *testing.T) {
	for address, want := range map[string]bool{
		"https://idp.example": true, "https://idp.example:8443/realm": true, "http://127.0.0.1:80/x": true, "http://[::1]/": true,
		"http://localhost:8080": true, "http://idp.example": false, "http://localhost.example": false, "http://10.0.0.1": false,
		"": false, "idp.example": false, "ftp://idp.example": false, "https://": false, "https://user@idp.example": false,
		"https://idp.example#x": false, "https:idp.example": false, "https://idp.example\n": false,
	} {
		if err := issuerCheckURL(address); (err == nil) != want {
			t.Errorf("%q: got %v, want ok %t", address, err, want)
		}
	}
}
