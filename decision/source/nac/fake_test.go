package nac

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const (
	asked = "b7c9e0f2-1111-4222-8333-944445555666" // the device of testdata
	unit1 = "https://fef.unit1.manage.intune.example/ComplianceRetrievalService"
	unit2 = "https://fef.unit2.manage.intune.example/ComplianceRetrievalService"
)

var askedKey = decision.Key{Kind: decision.KindIntune, Value: asked}

// fakeService answers token, discovery and device calls over no network: it works
// inside a synctest bubble.
type fakeService struct {
	mu          sync.Mutex
	endpoints   string                                          // rows of the discovery
	discover    func(r *http.Request) (status int, body string) // replaces them
	device      func(r *http.Request) (status int, body string, err error)
	requests    []*http.Request // to the service
	discoveries int
}

// entry is one endpoint as the discovery lists it.
func entry(provider, uri string) string {
	return fmt.Sprintf(`{"id":"1","capability":%[1]q,"providerName":%[1]q,"uri":%[2]q}`, provider, uri)
}

// answerFile is an answer in testdata.
func answerFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/answers/" + name + ".xml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newFake(t testing.TB) *fakeService {
	f := &fakeService{endpoints: entry("ComplianceRetrievalService", unit1)}
	f.says(200, answerFile(t, "v3-compliant"))
	return f
}

// says answers every device call so.
func (f *fakeService) says(status int, body string) {
	f.on(func(*http.Request) (int, string, error) { return status, body, nil })
}

func (f *fakeService) on(h func(*http.Request) (int, string, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.device = h
}

func (f *fakeService) lists(entries ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endpoints = strings.Join(entries, ",")
}

func (f *fakeService) onDiscovery(h func(*http.Request) (int, string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.discover = h
}

// counts returns the calls so far.
func (f *fakeService) counts() (discoveries, devices int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.discoveries, len(f.requests)
}

func (f *fakeService) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	contentType := "application/json;charset=utf-8"
	status, body := 200, `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"aaaa.bbbb.cccc"}`
	f.mu.Lock()
	endpoints, discover, device := f.endpoints, f.discover, f.device
	switch {
	case r.URL.Host == "graph.example":
		f.discoveries++
	case r.URL.Host != "login.example":
		f.requests = append(f.requests, r)
	}
	f.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		base := "https://login.example/" + strings.Split(r.URL.Path, "/")[1]
		body = fmt.Sprintf(`{"issuer":"%[1]s/v2.0","authorization_endpoint":"%[1]s/oauth2/v2.0/authorize","token_endpoint":"%[1]s/oauth2/v2.0/token"}`, base)
	case r.URL.Host == "graph.example":
		body = `{"value":[` + endpoints + `]}`
		if discover != nil {
			status, body = discover(r)
		}
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
	case r.URL.Host != "login.example":
		var err error
		if status, body, err = device(r); err != nil {
			return nil, err
		}
		contentType = "application/xml; charset=utf-8"
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

// newSource makes a source of f. Inside a bubble, call done at its end.
func newSource(t testing.TB, f http.RoundTripper) (s *Source, done func()) {
	t.Helper()
	client, err := msgraph.New(msgraph.Options{
		Name: "test", Tenant: "11111111-1111-4111-8111-111111111111", ClientID: "22222222-2222-4222-8222-222222222222",
		Credential: msgraph.CredentialOptions{Secret: "made-up"}, Transport: f,
		Cloud: msgraph.Cloud{Authority: "https://login.example", Graph: "https://graph.example", Intune: "https://api.manage.intune.example/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, err = New(Options{Client: client}); err != nil {
		t.Fatal(err)
	}
	return s, client.Close
}
