package caddymodule

import (
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

// observe turns a runner's events into metrics. The runner itself writes the log.
func (m *meters) observe(name string) source.Observer {
	// From 0: an alert about an increase must see the first one.
	for _, result := range []string{
		"sync_error", "sync_throttled", "sync_held", "sync_rejected",
		"lookup_error", "lookup_timeout", "lookup_open", "lookup_throttled", "lookup_unusable",
		"groups_error", "groups_timeout", "groups_throttled",
	} {
		m.requests.WithLabelValues(name, result)
	}
	for _, guard := range []string{"held", "rejected"} {
		m.guarded.WithLabelValues(name, guard)
	}
	for _, why := range source.Denials {
		m.denied.WithLabelValues(name, string(why))
	}
	return source.Observer{
		Synced: func(e source.SyncEvent) {
			m.requests.WithLabelValues(name, "sync_"+e.Result).Inc()
			m.reqSeconds.WithLabelValues(name).Observe(e.Took.Seconds())
			m.rows.WithLabelValues(name).Add(float64(e.Bad))
			if (e.Result == "held" || e.Result == "rejected") && !e.Again {
				m.guarded.WithLabelValues(name, e.Result).Inc()
			}
		},
		LookedUp: func(_, result string, took time.Duration) {
			m.requests.WithLabelValues(name, "lookup_"+result).Inc()
			m.reqSeconds.WithLabelValues(name).Observe(took.Seconds())
		},
		Denied: func(_ string, why source.Denial) {
			m.denied.WithLabelValues(name, string(why)).Inc()
		},
		AskedGroups: func(_, result string, took time.Duration) {
			m.requests.WithLabelValues(name, "groups_"+result).Inc()
			if took > 0 { // else nobody was called
				m.reqSeconds.WithLabelValues(name).Observe(took.Seconds())
			}
		},
		CheckedIn: func(_ string, result source.CheckIn) {
			m.requests.WithLabelValues(name, "check_in_"+string(result)).Inc()
		},
	}
}

// observeTenant counts the calls to one tenant's services.
func (m *meters) observeTenant(name string) func(microsoft.Call) {
	for _, endpoint := range microsoft.EndpointNames() {
		for _, kind := range []string{"permission", "unauthorized"} {
			m.msFailures.WithLabelValues(name, endpoint, kind)
		}
		m.microsoft.WithLabelValues(name, endpoint, "throttled")
	}
	return func(c microsoft.Call) {
		result := c.Status
		if c.Throttled {
			result = "throttled"
		}
		m.microsoft.WithLabelValues(name, c.Endpoint.String(), result).Inc()
		if c.Failure != "" {
			m.msFailures.WithLabelValues(name, c.Endpoint.String(), c.Failure).Inc()
		}
	}
}

// collectSource reports one source.
func (c *statusCollector) collectSource(gauge gaugeFunc, now time.Time, s *pooledSource) {
	st := s.runner.Status()
	gauge(c.state, stateValue(st.State), st.Name)
	gauge(c.breaker, breakerValue(st.Breaker), st.Name)
	// How long ago anybody asked about a single device says nothing about another.
	if state := s.runner.State(); state.Loaded() && !state.Asked {
		age := time.Duration(decision.Mono(now) - state.Confirmed()).Seconds()
		gauge(c.age, age, st.Name)
		gauge(c.lastSync, float64(now.Unix())-age, st.Name)
	}
	for compliance, n := range st.ByCompliance {
		gauge(c.devices, float64(n), st.Name, compliance)
	}
	held := 0
	if h := st.Held; h != nil {
		held = h.GoodNews + h.BadNews + h.Removals + h.Growth
	}
	gauge(c.held, float64(held), st.Name)
	if st.Counters == nil {
		return
	}
	for _, v := range st.Counters.Skipped {
		gauge(c.skipped, float64(v.Count), st.Name, v.Field, v.Reason)
	}
	for what, n := range st.Counters.Refused {
		gauge(c.refused, float64(n), st.Name, what)
	}
	for platform, silent := range st.Counters.SilentPartners {
		gauge(c.partner, truth(silent), st.Name, platform)
	}
}

// collectTenant reports one connection to a Microsoft tenant.
func (c *statusCollector) collectTenant(gauge gaugeFunc, now time.Time, name string, t *pooledTenant) {
	for _, s := range t.Headroom() {
		gauge(c.budget, float64(s.Spent)/float64(max(s.Budget, 1)), name, s.Name)
		wait := 0.0
		if s.ThrottledUntil.After(now) {
			wait = s.ThrottledUntil.Sub(now).Seconds()
		}
		gauge(c.wait, wait, name, s.Name)
	}
	for _, s := range t.Circuits() {
		gauge(c.circuit, breakerValue(s.State), name, s.Endpoint)
	}
	for _, s := range t.Tokens() {
		for _, kind := range microsoft.TokenFailures() {
			gauge(c.token, truth(s.Failure == kind), name, s.Resource, kind)
		}
	}
}

func truth(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

func stateValue(h source.Health) float64 {
	switch h {
	case source.HealthOK:
		return 0
	case source.HealthStale:
		return 1
	case source.HealthFailing:
		return 2
	case source.HealthIdle:
		return 4
	case source.HealthNotLoaded:
	}
	return 3
}

func breakerValue(s string) float64 {
	switch s {
	case "closed", "":
		return 0
	case "half-open":
		return 1
	}
	return 2
}
