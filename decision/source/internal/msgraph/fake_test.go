package msgraph

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testTenant = "8f3b2c10-0000-4000-8000-00000000abcd"
	testClient = "11111111-2222-4333-8444-555555555555"
	testSecret = "s3cr3t~value+with/odd=chars"
)

// fake is Microsoft as a transport: no socket, so that time can be faked too.
type fake struct {
	// serve answers calls to the services; nil: an empty list.
	serve func(*http.Request) (*http.Response, error)
	// sign answers token requests; nil: a good token for an hour.
	sign func(form url.Values) (*http.Response, error)

	mu     sync.Mutex
	calls  []seenCall
	signed []url.Values
	logs   bytes.Buffer
}

type seenCall struct {
	at     time.Time
	method string
	url    string
	header http.Header
	body   string
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		base := "https://" + r.URL.Host + strings.TrimSuffix(r.URL.Path, "/v2.0/.well-known/openid-configuration")
		return answer(200, fmt.Sprintf(`{"token_endpoint":"%s/oauth2/v2.0/token","authorization_endpoint":"%[1]s/oauth2/v2.0/authorize","issuer":"%[1]s/v2.0"}`, base)), nil
	}
	if strings.HasSuffix(r.URL.Path, "/common/discovery/instance") {
		return answer(200, `{"tenant_discovery_endpoint":"https://`+r.URL.Host+`/common/v2.0/.well-known/openid-configuration","metadata":[]}`), nil
	}
	if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
		form, _ := url.ParseQuery(string(body))
		f.mu.Lock()
		f.signed = append(f.signed, form)
		n := len(f.signed)
		f.mu.Unlock()
		if f.sign != nil {
			return f.sign(form)
		}
		return goodToken(fmt.Sprint("t", n), time.Hour), nil
	}
	f.mu.Lock()
	f.calls = append(f.calls, seenCall{time.Now(), r.Method, r.URL.String(), r.Header.Clone(), string(body)})
	f.mu.Unlock()
	if f.serve == nil {
		return answer(200, `{"value":[]}`), nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return f.serve(r)
}

func (f *fake) seen() []seenCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]seenCall(nil), f.calls...)
}

func (f *fake) tokens() []url.Values {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]url.Values(nil), f.signed...)
}

// Write collects the log.
func (f *fake) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logs.Write(p)
}

func (f *fake) log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logs.String()
}

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
}

func goodToken(value string, life time.Duration) *http.Response {
	return answer(200, fmt.Sprintf(`{"token_type":"Bearer","expires_in":%d,"access_token":"%s"}`, int(life.Seconds()), value))
}

// rawToken is an unsigned token: nobody on our side verifies it.
func rawToken(claims map[string]any) string {
	b, _ := json.Marshal(claims)
	return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(b) + ".c2lnbmF0dXJl"
}

func signInError(status, code int, text string) *http.Response {
	return answer(status, fmt.Sprintf(`{"error":"invalid_client","error_description":"AADSTS%d: %s Trace ID: 0d6f Correlation ID: 1","error_codes":[%d],"trace_id":"0d6f"}`, code, text, code))
}

func (f *fake) options() Options {
	return Options{
		Name: "corp", Tenant: testTenant, ClientID: testClient, Credential: CredentialOptions{Secret: testSecret},
		Transport: f, Logger: slog.New(slog.NewTextHandler(f, nil)),
	}
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// inBubble runs a test with time that only passes while everybody waits.
func inBubble(t *testing.T, f *fake, test func(t *testing.T, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, err := New(f.options())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		test(t, c)
	})
}

func devices() Request { return Request{Endpoint: DirectoryDevices, Path: "/v1.0/devices"} }

func asError(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T) is no *Error", err, err)
	}
	return e
}

func wantKind(t testing.TB, err error, kind Kind) *Error {
	t.Helper()
	e := asError(t, err)
	if e.Kind != kind {
		t.Fatalf("error %v: kind %v, want %v", err, e.Kind, kind)
	}
	return e
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

// inOrder answers with one response after the other, and then always the last.
func inOrder(responses ...func() (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	var mu sync.Mutex
	n := 0
	return func(*http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		r := responses[min(n, len(responses)-1)]
		n++
		return r()
	}
}

func with(status int, body string, header ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) { return answer(status, body, header...), nil }
}

func failing(err error) func() (*http.Response, error) {
	return func() (*http.Response, error) { return nil, err }
}
