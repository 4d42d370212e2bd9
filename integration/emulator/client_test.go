package emulator

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	_ = os.Setenv("NO_PROXY", "*")
	goleak.VerifyTestMain(m)
}

// client is a plain client of a served emulator.
type client struct {
	t    *testing.T
	s    *Server
	base string
	http *http.Client
	auth string // Authorization; empty: none
}

const (
	graphScope    = "https://graph.microsoft.com/.default"
	defenderScope = "https://api.securitycenter.microsoft.com/.default"
	nacScope      = "https://api.manage.microsoft.com//.default"
)

func serve(t *testing.T, o Options) *client {
	t.Helper()
	s := New(o)
	base, roots, stop := s.Start()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		stop()
	})
	return &client{t: t, s: s, base: base, http: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// signIn takes a token for a scope and uses it from now on.
func (c *client) signIn(scope string) *client {
	c.t.Helper()
	status, body := c.token(url.Values{
		"client_id": {DefaultClientID}, "client_secret": {DefaultSecret}, "scope": {scope}, "grant_type": {"client_credentials"},
	})
	if status != http.StatusOK {
		c.t.Fatalf("token for %s: %d %v", scope, status, body)
	}
	d := *c
	d.auth = "Bearer " + body["access_token"].(string)
	return &d
}

func (c *client) token(form url.Values) (int, map[string]any) {
	c.t.Helper()
	resp, err := c.http.PostForm(c.base+"/login/"+DefaultTenant+"/oauth2/v2.0/token", form)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, decode(c.t, resp)
}

func decode(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%s: %v in %.300q", resp.Request.URL, err, b)
		}
	}
	return v
}

func (c *client) do(method, path, body string, header ...string) *http.Response {
	c.t.Helper()
	if !strings.HasPrefix(path, "https://") {
		path = c.base + strings.ReplaceAll(path, " ", "%20")
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.auth != "" {
		r.Header.Set("Authorization", c.auth)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// get answers the status and the decoded body.
func (c *client) get(path string, header ...string) (int, map[string]any) {
	c.t.Helper()
	resp := c.do(http.MethodGet, path, "", header...)
	return resp.StatusCode, decode(c.t, resp)
}

// rows answers the value array; the status must be 200.
func (c *client) rows(path string, header ...string) ([]map[string]any, map[string]any) {
	c.t.Helper()
	status, doc := c.get(path, header...)
	if status != http.StatusOK {
		c.t.Fatalf("%s: %d %v", path, status, doc)
	}
	return rowsIn(c.t, doc), doc
}

func rowsIn(t *testing.T, doc map[string]any) []map[string]any {
	t.Helper()
	list, ok := doc["value"].([]any)
	if !ok {
		t.Fatalf("no value array in %v", doc)
	}
	rows := make([]map[string]any, len(list))
	for i, r := range list {
		rows[i] = r.(map[string]any)
	}
	return rows
}

func code(doc map[string]any) string {
	e, _ := doc["error"].(map[string]any)
	s, _ := e["code"].(string)
	return s
}

// device is a named case.
func (c *client) device(name string) (d *Device) {
	c.t.Helper()
	c.s.Update(func(f *Fleet) { d = f.Device(name) })
	if d == nil {
		c.t.Fatalf("no device %s", name)
	}
	return d
}
