package sources

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// TestHerd: after an outage the gateways of a tenant do not all call at once, also
// when the service named the same moment to all of them. Fifty gateways with sources
// whose published limits have room for so many, and four with all: Defender takes
// 1,500 calls an hour from one application, of which a gateway makes more than a hundred.
func TestHerd(t *testing.T) {
	const outageOf = time.Hour
	for name, cut := range map[string]func(tn *tenant) (mend func()){
		"refused": func(tn *tenant) func() { return tn.line.cut(lineRefused) },
		"503":     func(tn *tenant) func() { return failAll(tn, emulator.Fault{Kind: emulator.Status}) },
		"one moment": func(tn *tenant) func() {
			return failAll(tn, emulator.Fault{Kind: emulator.Throttle429, RetryAfter: time.Now().Add(outageOf).UTC().Format(http.TimeFormat)})
		},
	} {
		for _, crowd := range []struct {
			gateways int
			sources  []*subject
		}{
			{4, []*subject{named("intune"), named("entra"), named("defender"), named("configmgr")}},
			{50, []*subject{named("intune"), named("configmgr")}},
		} {
			t.Run(fmt.Sprintf("%s/%d", name, crowd.gateways), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) { herd(t, crowd.gateways, crowd.sources, cut, outageOf) })
			})
		}
	}
}

func named(name string) *subject {
	return subjects[slices.IndexFunc(subjects, func(s *subject) bool { return s.name == name })]
}

// failAll breaks every route that a source reads.
func failAll(tn *tenant, f emulator.Fault) (mend func()) {
	var mends []func()
	for _, s := range subjects {
		mends = append(mends, everywhere(f).cut(tn, s))
	}
	return func() {
		for _, m := range mends {
			m()
		}
	}
}

func herd(t *testing.T, gateways int, sources []*subject, cut func(*tenant) func(), outageOf time.Duration) {
	tn := newTenant(t, emulator.Options{Devices: 60})
	good := sources[0].keyOf(tn, emulator.CaseHealthy)
	var list []*gateway
	arrivals := make([]arrival, gateways)
	for i := range gateways {
		arrivals[i].RoundTripper = tn.line
		own := *tn
		own.line = &line{RoundTripper: &arrivals[i]}
		g := open(t, &own, sources, "require managed", "require compliant")
		defer g.start(t)()
		list = append(list, g)
		time.Sleep(7 * time.Second) // nobody starts them all at once
	}
	time.Sleep(30 * time.Minute)
	for _, g := range list {
		if d, _ := g.ask(t.Context(), good); d.Outcome != decision.Allow {
			t.Fatalf("before the outage: %s %v", d.Outcome, d.Findings)
		}
	}

	mend := cut(tn)
	time.Sleep(outageOf)
	mend()
	back := time.Now()
	for i := range arrivals {
		arrivals[i].first.Store(nil)
	}
	time.Sleep(8 * time.Minute)
	for i, g := range list {
		for _, r := range g.runners {
			if st := r.Status(); st.State != source.HealthOK {
				t.Errorf("gateway %d, %s: %s, %s", i, r.Name(), st.State, st.LastError)
			}
		}
		if d, _ := g.ask(t.Context(), good); d.Outcome != decision.Allow || d.Freshness != decision.Fresh {
			t.Errorf("gateway %d: %s %s %v", i, d.Outcome, d.Freshness, d.Findings)
		}
	}
	together := map[time.Duration]int{} // gateways whose first call came in that second
	for i := range arrivals {
		if at := arrivals[i].first.Load(); at != nil {
			together[at.Sub(back).Truncate(time.Second)]++
		}
	}
	most := slices.Max(slices.Collect(maps.Values(together)))
	t.Logf("at most %d gateways came back in one second, and %d calls in one second", most, busiest(tn.Pace(back)).Calls)
	if most > max(3, gateways/4) {
		t.Errorf("%d of %d gateways came back in the same second: %v", most, gateways, together)
	}
	for _, v := range tn.Violations() {
		// One call a second for all applications of the tenant: gateways that do not
		// know of each other cannot keep that, get 429 and wait.
		if !strings.HasPrefix(v, "graph/riskyUsers: ") {
			t.Errorf("emulator: %s", v)
		}
	}
}

// arrival notes when a gateway makes its first call.
type arrival struct {
	http.RoundTripper
	first atomic.Pointer[time.Time]
}

// RoundTrip implements http.RoundTripper.
func (a *arrival) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now()
	a.first.CompareAndSwap(nil, &now)
	return a.RoundTripper.RoundTrip(r)
}

// busiest is the second with the most calls.
func busiest(list []emulator.Second) (most emulator.Second) {
	for _, s := range list {
		if s.Calls > most.Calls {
			most = s
		}
	}
	return most
}
