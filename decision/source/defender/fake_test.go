package defender

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const fakeHost = "defender.example"

// fake is a Defender service over no network: it works inside a synctest bubble,
// where the client's budgets cost no time. Lists are what a test says.
type fake struct {
	mu    sync.Mutex
	lists map[string]func() []string // rows, by how the filter begins; "" is the complete list
	one   map[string]string          // machines by id
	// answer, if not nil, answers first; status 0 leaves the call to the lists.
	answer  func(path string, q url.Values) (status int, body string)
	queries []string // path, filter and skip of each call
}

func (f *fake) list(filter string, rows ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists[filter] = func() []string { return rows }
}

func (f *fake) have(machines ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.one = map[string]string{}
	for _, m := range machines {
		var row struct{ ID string }
		if err := json.Unmarshal([]byte(m), &row); err != nil {
			panic(err)
		}
		f.one[row.ID] = m
	}
}

func (f *fake) answerWith(h func(path string, q url.Values) (int, string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = h
}

// calls returns the calls so far whose text contains part, and forgets all.
func (f *fake) calls(part string) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range f.queries {
		if strings.Contains(q, part) {
			out = append(out, q)
		}
	}
	f.queries = nil
	return out
}

// RoundTrip implements [http.RoundTripper].
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, body := 200, `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"aaaa.bbbb.cccc"}`
	if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		base := "https://login.example/" + strings.Split(r.URL.Path, "/")[1]
		body = fmt.Sprintf(`{"issuer":"%[1]s/v2.0","authorization_endpoint":"%[1]s/oauth2/v2.0/authorize","token_endpoint":"%[1]s/oauth2/v2.0/token"}`, base)
	}
	if r.URL.Host == fakeHost {
		status, body = f.serve(r.URL.Path, r.URL.Query())
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

func (f *fake) serve(path string, q url.Values) (status int, body string) {
	f.mu.Lock()
	f.queries = append(f.queries, strings.TrimSpace(path+" "+q.Get("$filter")+" "+q.Get("$skip")))
	answer := f.answer
	f.mu.Unlock()
	if answer != nil {
		if status, body = answer(path, q); status != 0 {
			return status, body
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if id, ok := strings.CutPrefix(path, machinesPath+"/"); ok {
		if m, ok := f.one[id]; ok {
			return 200, m
		}
		return refuse(404, "ResourceNotFound")
	}
	property, _, _ := strings.Cut(q.Get("$filter"), " ")
	rows := []string(nil)
	if h := f.lists[property]; h != nil {
		rows = h()
	}
	return f.page(rows, q)
}

func (f *fake) page(rows []string, q url.Values) (status int, body string) {
	skip, _ := strconv.Atoi(q.Get("$skip"))
	top, _ := strconv.Atoi(q.Get("$top"))
	rows = rows[min(skip, len(rows)):]
	if top > 0 {
		rows = rows[:min(top, len(rows))]
	}
	if len(rows) == 0 && skip == 0 {
		return refuse(404, "ResourceNotFound")
	}
	return 200, `{"value":[` + strings.Join(rows, ",") + `]}`
}

func refuse(status int, code string) (int, string) {
	return status, fmt.Sprintf(`{"error":{"code":%q,"message":"made up","target":"t"}}`, code)
}

// bubble runs a test against a fake service in a synctest bubble.
func bubble(t *testing.T, o Options, test func(t *testing.T, f *fake, s *Source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{lists: map[string]func() []string{}}
		client, err := msgraph.New(msgraph.Options{
			Name: "test", Tenant: "11111111-1111-4111-8111-111111111111", ClientID: "22222222-2222-4222-8222-222222222222",
			Credential: msgraph.CredentialOptions{Secret: "made-up"}, Transport: f,
			Cloud: msgraph.Cloud{Authority: "https://login.example", Defender: "https://" + fakeHost},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		o.Client = client
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		test(t, f, s)
	})
}

// again runs a Sync and returns its table, or nil if nothing changed.
func again(t *testing.T, s *Source) *source.Table {
	t.Helper()
	sw := source.NewSweep(0)
	err := s.Sync(t.Context(), sw)
	if errors.Is(err, source.ErrUnchanged) {
		return nil
	}
	if err != nil {
		t.Fatalf("Sync: %v", err)
	}
	table, err := sw.Table()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func machineID(n int) string { return fmt.Sprintf("%040x", n) }
func deviceID(n int) string  { return fmt.Sprintf("%08x-0000-4000-8000-0000000000de", n) }

func machine(n int) decision.Key {
	return decision.Key{Kind: decision.KindDefender, Value: machineID(n)}
}

func device(n int) decision.Key {
	return decision.Key{Kind: decision.KindEntra, Value: deviceID(n)}
}

// row is a machine that reported an hour ago.
func row(n int, risk string) string { return rowAt(n, risk, time.Now().Add(-time.Hour)) }

func rowAt(n int, risk string, seen time.Time) string {
	return fmt.Sprintf(`{"id":%q,"aadDeviceId":%q,"computerDnsName":"lt-%d.example.com","lastSeen":%q,"riskScore":%q,`+
		`"exposureLevel":"Low","healthStatus":"Active","onboardingStatus":"onboarded"}`,
		machineID(n), deviceID(n), n, seen.UTC().Format("2006-01-02T15:04:05.0000000Z"), risk)
}

func rows(from, to int, risk string) (out []string) {
	for n := from; n < to; n++ {
		out = append(out, row(n, risk))
	}
	return out
}

func riskOf(t *testing.T, table *source.Table, n int) decision.Level {
	t.Helper()
	return find(t, table, device(n)).Risk
}
