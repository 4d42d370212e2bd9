package entra

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const graphHost = "graph.example"

// fakeGraph answers the directory's calls from tables that a test fills, over no
// network: it works inside a synctest bubble.
type fakeGraph struct {
	mu       sync.Mutex
	requests []*http.Request
	// answers are by path; a value may be consumed by take.
	answers map[string]func(q url.Values) (status int, body string)
	header  map[string]http.Header
	claims  string // of the token, in JSON
}

func newFake() *fakeGraph {
	return &fakeGraph{answers: map[string]func(url.Values) (int, string){}, header: map[string]http.Header{}, claims: `{"tid":"` + fakeTenant + `"}`}
}

func (f *fakeGraph) on(path string, h func(url.Values) (int, string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[path] = h
}

// say answers a path with a fixed body.
func (f *fakeGraph) say(path string, status int, body string) {
	f.on(path, func(url.Values) (int, string) { return status, body })
}

// calls returns the graph calls so far and forgets them.
func (f *fakeGraph) calls() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.requests
	f.requests = nil
	return out
}

func (f *fakeGraph) count(path string) int {
	n := 0
	for _, r := range f.calls() {
		if r.URL.Path == path {
			n++
		}
	}
	return n
}

func (f *fakeGraph) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, header := 200, http.Header{}
	body := fmt.Sprintf(`{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"aaaa.%s.cccc"}`, base64.RawURLEncoding.EncodeToString([]byte(f.claims)))
	if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		base := "https://login.example/" + strings.Split(r.URL.Path, "/")[1]
		body = fmt.Sprintf(`{"issuer":"%[1]s/v2.0","authorization_endpoint":"%[1]s/oauth2/v2.0/authorize","token_endpoint":"%[1]s/oauth2/v2.0/token"}`, base)
	}
	if r.URL.Host == graphHost {
		f.mu.Lock()
		f.requests = append(f.requests, r)
		h, ok := f.answers[r.URL.Path]
		if more := f.header[r.URL.Path]; more != nil {
			header = maps.Clone(more)
		}
		f.mu.Unlock()
		status, body = 404, failure("Request_ResourceNotFound")
		if ok {
			status, body = h(r.URL.Query())
		}
	}
	header.Set("Content-Type", "application/json;charset=utf-8")
	return &http.Response{
		StatusCode: status, Header: header, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

func failure(code string) string {
	return fmt.Sprintf(`{"error":{"code":%q,"message":"made up","innerError":{"request-id":"r"}}}`, code)
}

// client makes a Graph client whose calls end in f.
func client(t *testing.T, f http.RoundTripper) *msgraph.Client {
	t.Helper()
	cloud, _ := msgraph.ParseCloud("public")
	cloud.Authority, cloud.Graph = "https://login.example", "https://"+graphHost
	c, err := msgraph.New(msgraph.Options{
		Name: "test", Tenant: "11111111-1111-4111-8111-111111111111", ClientID: "22222222-2222-4222-8222-222222222222",
		Credential: msgraph.CredentialOptions{Secret: "made-up"}, Cloud: cloud, Transport: f,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newSource makes a source of f. Call it inside a bubble, and close.
func newSource(t *testing.T, f http.RoundTripper, o Options) (s *Source, done func()) {
	t.Helper()
	o.Client = client(t, f)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, o.Client.Close
}

// directory is a table of rows with a delta query, as the fake's answer.
type directory struct {
	mu      sync.Mutex
	path    string
	rows    map[string]string // by object id
	changes []string          // rows; a token is a place among them
	page    int
}

func newDirectory(f *fakeGraph, path string) *directory {
	d := &directory{path: path, rows: map[string]string{}, page: 3}
	f.on(path, d.answer)
	return d
}

func (d *directory) answer(q url.Values) (int, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	link := func(kind, token string) string {
		return fmt.Sprintf(`,"@odata.%s":"https://%s%s?%s=%s"`, kind, graphHost, d.path, map[string]string{"nextLink": "$skiptoken", "deltaLink": "$deltatoken"}[kind], token)
	}
	var rows []string
	tail := link("deltaLink", strconv.Itoa(len(d.changes)))
	switch {
	case q.Has("$deltatoken"):
		from, _ := strconv.Atoi(q.Get("$deltatoken"))
		rows = d.changes[from:]
	default:
		from, _ := strconv.Atoi(q.Get("$skiptoken"))
		ids := slices.Sorted(maps.Keys(d.rows))
		end := min(from+d.page, len(ids))
		for _, id := range ids[min(from, end):end] {
			rows = append(rows, d.rows[id])
		}
		if end < len(ids) {
			tail = link("nextLink", strconv.Itoa(end))
		}
	}
	return 200, `{"@odata.context":"made up","value":[` + strings.Join(rows, ",") + "]" + tail + "}"
}

// set adds a row, or lets it change to what it says.
func (d *directory) set(row string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var id struct{ ID string }
	if err := json.Unmarshal([]byte(row), &id); err != nil {
		panic(err)
	}
	d.rows[id.ID] = row
	d.changes = append(d.changes, row)
}

// change reports a row in the delta query only.
func (d *directory) change(rows ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes = append(d.changes, rows...)
}

func (d *directory) remove(id, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.rows, id)
	d.changes = append(d.changes, fmt.Sprintf(`{"id":%q,"@removed":{"reason":%q}}`, id, reason))
}

func objectID(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-0000000000bb", n) }
func deviceID(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-0000000000de", n) }
func userID(n int) string   { return fmt.Sprintf("%08x-0000-4000-8000-0000000005e5", n) }

func entraKey(n int) decision.Key {
	return decision.Key{Kind: decision.KindEntra, Value: deviceID(n)}
}

// row is a healthy device with more members in JSON.
func row(n int, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"id":%q,"deviceId":%q%s}`, objectID(n), deviceID(n), more)
}

// swept runs one Sync and returns its table.
func swept(t *testing.T, s *Source) *source.Table {
	t.Helper()
	sw := source.NewSweep(0)
	if err := s.Sync(t.Context(), sw); err != nil {
		t.Fatalf("Sync: %v", err)
	}
	table, err := sw.Table()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// find returns the device with this deviceId.
func find(t *testing.T, table *source.Table, n int) decision.Verdict {
	t.Helper()
	r, ok := table.Find(entraKey(n))
	if !ok {
		t.Fatalf("device %d is not found", n)
	}
	return table.Verdict(r)
}

const minute = time.Minute
