package sources

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// inBubble runs f in a bubble whose time begins now: files have dates too.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	now := time.Now().UnixNano()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Duration(now - time.Now().UnixNano()))
		f(t)
	})
}

// Ways in which a line breaks.
const (
	lineUp int32 = iota
	lineRefused
	lineSilent
)

// line leads to the emulator, until it is cut.
type line struct {
	http.RoundTripper
	state   atomic.Int32
	latency time.Duration // of every answer
}

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	switch l.state.Load() {
	case lineRefused:
		return nil, fmt.Errorf("dial tcp 192.0.2.1:443: %w", syscall.ECONNREFUSED)
	case lineSilent:
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if l.latency > 0 {
		time.Sleep(l.latency)
	}
	return l.RoundTripper.RoundTrip(r)
}

// cut breaks the line until mend is called.
func (l *line) cut(how int32) (mend func()) {
	l.state.Store(how)
	return func() { l.state.Store(lineUp) }
}

// tenant is a fake Microsoft, the line to it, and a directory for files.
type tenant struct {
	*emulator.Server
	line *line
	dir  string
}

func newTenant(t *testing.T, o emulator.Options) *tenant {
	t.Helper()
	e := emulator.New(o)
	return &tenant{Server: e, line: &line{RoundTripper: e.Transport()}, dir: t.TempDir()}
}

// host is any name: the emulator answers to all of them.
const host = "https://tenant.example"

// connect makes a client of the tenant, as the microsoft block does.
func (tn *tenant) connect(t *testing.T) *microsoft.Tenant {
	t.Helper()
	client, err := microsoft.Connect(microsoft.Options{
		Name: "tenant", Tenant: emulator.DefaultTenant, ClientID: emulator.DefaultClientID,
		Credential: microsoft.CredentialOptions{Secret: emulator.DefaultSecret}, Transport: tn.line,
		Cloud: microsoft.Cloud{Authority: host + "/login", Graph: host + "/graph", Defender: host + "/defender", Intune: host + "/nac-resource"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// gateway is what decides in one process: sources, their directory, a policy.
type gateway struct {
	runners   []*source.Runner
	directory *source.Directory
	engine    *decision.Engine
	policy    *decision.Policy
	ids       map[decision.Key]*decision.Identity // like tokens, remembered between requests
}

// open makes a gateway of some sources. The policy has these lines.
func open(t *testing.T, tn *tenant, list []*subject, lines ...string) *gateway {
	t.Helper()
	g := &gateway{ids: map[decision.Key]*decision.Identity{}}
	env := policy.Environment{Proofs: []decision.Proof{decision.ProofToken}, Now: time.Now(), PollIntervals: map[string]time.Duration{}}
	client := tn.connect(t)
	for i, s := range list {
		src, o := s.open(t, tn, client)
		o.Name, o.Index = s.name, i
		r := source.NewRunner(src, o)
		g.runners = append(g.runners, r)
		env.Sources, env.Facts = append(env.Sources, s.name), env.Facts|src.Facts()
		if _, lists := src.(source.Syncer); lists {
			env.PollIntervals[s.name] = r.Poll()
		}
	}
	g.directory = source.NewDirectory(g.runners, source.DirectoryOptions{})
	config := policy.PolicyConfig{Name: "app"}
	for _, line := range lines {
		config.Lines = append(config.Lines, policy.Line{Words: strings.Fields(line)})
	}
	set, err := policy.Compile([]policy.PolicyConfig{config}, nil, env)
	if err != nil {
		t.Fatal(err)
	}
	g.engine = set.Engine
	g.policy, _ = set.Policy("app")
	return g
}

// start reads every source for the first time and keeps it fresh until stop.
func (g *gateway) start(t *testing.T) (stop func()) {
	t.Helper()
	for _, r := range g.runners {
		err := r.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Start(t.Context())
	}
	return func() {
		for _, r := range g.runners {
			r.Stop()
		}
	}
}

// lookupBound is how long a request about an unknown device may wait.
const lookupBound = 800 * time.Millisecond

// ask decides a request of the device with this id, as the enforcement point does,
// and says how long it waited.
func (g *gateway) ask(ctx context.Context, key decision.Key) (*decision.Decision, time.Duration) {
	id := g.ids[key]
	if id == nil {
		id = &decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{key}, Proof: decision.ProofToken}}
		id.User.ID, id.User.Issuer = "corp|somebody", "corp"
	}
	begin := time.Now()
	posture := g.directory.Resolve(ctx, id)
	if posture.Known() {
		g.ids[key] = id
	}
	d := new(decision.Decision)
	g.engine.Decide(g.policy, &decision.Request{Now: time.Now(), Identity: id, Posture: posture}, d)
	return d, time.Since(begin)
}

// await asks every second until the device gets the outcome.
func (g *gateway) await(t *testing.T, limit time.Duration, key decision.Key, want decision.Outcome) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		d, _ := g.ask(t.Context(), key)
		if d.Outcome == want {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			var errs []error
			for _, r := range g.runners {
				errs = append(errs, errors.New(r.Status().LastError))
			}
			t.Fatalf("%s is still %s after %s, want %s: %v", key.Value, d.Outcome, limit, want, errors.Join(errs...))
		}
		time.Sleep(time.Second)
	}
}
