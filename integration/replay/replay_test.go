package replay

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestReplay replays every vector, each in three ways.
func TestReplay(t *testing.T) {
	vs := load(t)
	now := time.Now()
	replayed := 0
	for _, g := range grouped(t, vs, now) {
		replayed += len(g.entries)
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, g, now)
			s.revoke(t)
			t.Run("http", s.replayHTTP)
			t.Run("explain", s.replayExplain)
			t.Run("explain_offline", s.replayOffline)
		})
	}
	if replayed != len(vs) {
		t.Errorf("%d of %d vectors are in a group", replayed, len(vs))
	}
}

// revoke does what an operator did before the vectors' requests.
func (s *stage) revoke(t *testing.T) {
	t.Helper()
	for _, e := range s.entries {
		body := map[string]string{"reason": "stolen", "owner": "security"}
		switch e.Revoked {
		case "":
			continue
		case "device":
			body["device"] = "entra:" + e.DeviceID()
		case "user":
			body["user"] = e.User.Name
		}
		if status := s.gateway.Call("POST", "/compliance/revoke", body, nil); status != http.StatusOK {
			t.Fatalf("%s:%d: revoke answers %d", e.File, e.Line, status)
		}
	}
}

// answer is what a vector wants, or what some way of asking said.
type answer struct {
	outcome           string
	reasons, warnings []string
	stepUp            string
}

func (a answer) String() string {
	return fmt.Sprintf("%s %v, warnings %v, step-up %q", a.outcome, a.reasons, a.warnings, a.stepUp)
}

func (a answer) equal(b answer) bool {
	return a.outcome == b.outcome && slices.Equal(a.reasons, b.reasons) && slices.Equal(a.warnings, b.warnings) && a.stepUp == b.stepUp
}

// want is the enforced answer.
func (e *entry) want() answer {
	a := answer{outcome: e.Want, reasons: e.Reasons, warnings: e.Warnings}
	if e.StepUp != "" {
		a.stepUp = e.prefix + e.StepUp
	}
	return a
}

// wantTrial is the answer of the policy on trial. Its step-up is not in the
// vectors.
func (e *entry) wantTrial() answer {
	return answer{outcome: e.Trial.Want, reasons: e.Trial.Reasons, warnings: e.Trial.Warnings}
}

func (e *entry) compare(t *testing.T, what string, got, want answer) {
	t.Helper()
	if !got.equal(want) {
		t.Errorf("%s:%d: %q: %s\ngot  %s\nwant %s", e.File, e.Line, e.Name, what, got, want)
	}
}

// record is one remembered decision of the admin API.
type record struct {
	Outcome string `json:"outcome"`
	Mode    string `json:"mode"`
	Policy  string `json:"policy"`
	Host    string `json:"host"`
	Reasons []struct {
		Code   string `json:"code"`
		Effect string `json:"effect"`
	} `json:"reasons"`
}

func (r *record) answer() answer {
	a := answer{outcome: r.Outcome}
	for _, f := range r.Reasons {
		if f.Effect == "warn" {
			a.warnings = append(a.warnings, f.Code)
		} else {
			a.reasons = append(a.reasons, f.Code)
		}
	}
	return a
}

// replayHTTP sends every request, and then compares what the gateway remembers.
func (s *stage) replayHTTP(t *testing.T) {
	for i := range s.entries {
		s.send(t, &s.entries[i])
	}
	var list struct {
		Decisions []record `json:"decisions"`
	}
	if status := s.gateway.Call("GET", "/compliance/decisions?limit=1000", nil, &list); status != http.StatusOK {
		t.Fatalf("decisions answers %d", status)
	}
	if len(list.Decisions) == 1000 {
		t.Fatal("more decisions than one call lists: split the group")
	}
	byHost := map[string][]record{}
	for _, r := range list.Decisions {
		byHost[r.Host] = append(byHost[r.Host], r)
	}
	for i := range s.entries {
		e := &s.entries[i]
		s.compareRecords(t, e, byHost[e.Host()])
	}
}

// send makes one request and compares what the client and the upstream see.
func (s *stage) send(t *testing.T, e *entry) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s:%d: %q: %s", e.File, e.Line, e.Name, fmt.Sprintf(format, args...))
	}
	q := s.request(t, e)
	defer q.client.CloseIdleConnections()
	before := s.upstream.Hits()
	a := rig.Do(t, q.client, e.Method, q.url, q.header...)
	reached := s.upstream.Hits() - before
	if a.StatusCode != e.Status {
		fail("status %d, want %d: %s", a.StatusCode, e.Status, a.Body)
		return
	}
	if e.Want == "allow" {
		if reached != 1 {
			fail("allowed, and the upstream saw %d requests", reached)
		}
		if seen := a.Seen(t); seen.Host != hostOf(q.url) || seen.Method != e.Method {
			fail("the upstream saw %s for %s", seen.Method, seen.Host)
		} else if user, device := e.named(); seen.Header.Get("Remote-User") != user || seen.Header.Get("X-Device-Id") != device {
			fail("the upstream was told of user %q on device %q, want %q on %q",
				seen.Header.Get("Remote-User"), seen.Header.Get("X-Device-Id"), user, device)
		}
		return
	}
	if reached != 0 {
		fail("refused, and the upstream saw %d requests", reached)
	}
	p := a.Problem(t)
	want := e.want()
	if p.Outcome != want.outcome || !slices.Equal(p.Codes(), want.reasons) {
		fail("the client is told %s %v, want %s %v", p.Outcome, p.Codes(), want.outcome, want.reasons)
	}
	if p.DecisionID == "" || a.Header.Get("Cache-Control") != "no-store" {
		fail("decision id %q, Cache-Control %q", p.DecisionID, a.Header.Get("Cache-Control"))
	}
	challenge, retry := a.Header.Get("WWW-Authenticate"), a.Header.Get("Retry-After")
	if (challenge != "") != (e.Status == http.StatusUnauthorized) || (retry != "") != (e.Status == http.StatusServiceUnavailable) {
		fail("status %d with WWW-Authenticate %q and Retry-After %q", e.Status, challenge, retry)
	}
}

// named is whom the upstream is told of.
func (e *entry) named() (user, device string) {
	if e.User != nil {
		user = e.User.Name
		if e.User.AppOnly {
			user = e.User.Client
		}
	}
	switch {
	case e.Device == nil:
	case e.Device.Serial != "":
		device = e.Device.Serial // the certificate's id goes first
	default:
		device = e.DeviceID()
	}
	return user, device
}

func hostOf(url string) string {
	_, host, _ := strings.Cut(url, "://")
	host, _, _ = strings.Cut(host, "/")
	return host
}

// compareRecords checks the decision log's view: the enforced decision with its
// warnings, and the one on trial. A trial that would allow leaves no record, but
// is counted.
func (s *stage) compareRecords(t *testing.T, e *entry, records []record) {
	t.Helper()
	var enforced, trial []answer
	for i := range records {
		switch r := &records[i]; r.Mode {
		case "enforce":
			enforced = append(enforced, r.answer())
		case "report_only":
			trial = append(trial, r.answer())
		default:
			t.Errorf("%s:%d: %q: a decision of mode %q", e.File, e.Line, e.Name, r.Mode)
		}
	}
	want := e.want()
	want.stepUp = "" // the records do not name it
	unenforced := e.Trial != nil && strings.Contains(e.Policy, "report_only unenforced")
	switch {
	case unenforced && len(enforced) == 0:
	case !unenforced && len(enforced) == 1:
		e.compare(t, "decision log", enforced[0], want)
	default:
		t.Errorf("%s:%d: %q: %d enforced decisions: %v", e.File, e.Line, e.Name, len(enforced), enforced)
	}
	switch {
	case e.Trial == nil || e.Trial.Want == "allow":
		if len(trial) != 0 {
			t.Errorf("%s:%d: %q: decisions on trial: %v", e.File, e.Line, e.Name, trial)
		}
	case len(trial) == 1:
		e.compare(t, "trial", trial[0], e.wantTrial())
	default:
		t.Errorf("%s:%d: %q: %d decisions on trial", e.File, e.Line, e.Name, len(trial))
	}
	if e.Trial != nil {
		series := fmt.Sprintf(`gatehouse_decisions_total{mode="report_only",outcome="%s",policy="%s"}`, e.Trial.Want, e.policy)
		if n, ok := s.gateway.Metric(series); !ok || n != 1 {
			t.Errorf("%s:%d: %q: %s is %v", e.File, e.Line, e.Name, series, n)
		}
	}
}
