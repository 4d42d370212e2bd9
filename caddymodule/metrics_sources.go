package caddymodule

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

// observe turns a runner's events into metrics. The runner itself writes the log.
func (m *meters) observe(name string) source.Observer {
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
	}
}

// observeTenant counts the calls to one tenant's services.
func (m *meters) observeTenant(name string) func(microsoft.Call) {
	return func(c microsoft.Call) {
		result := c.Status
		if c.Throttled {
			result = "throttled"
		}
		m.microsoft.WithLabelValues(name, c.Endpoint.String(), result).Inc()
	}
}

// statusCollector reports gauges from the running configuration at scrape time,
// so that nothing has to keep them up to date.
type statusCollector struct {
	// apps are the started configurations, the one that counts last: when a
	// load fails half-way, the one before it is still running.
	mu   sync.Mutex
	apps []*App

	state, lastSync, age, devices, breaker *prometheus.Desc
	cacheEntries, cacheLookups             *prometheus.Desc
	jwksAge, expiry, revoked, trial        *prometheus.Desc
}

func newStatusCollector() *statusCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gatehouse_"+name, help, labels, nil)
	}
	return &statusCollector{
		state:        desc("source_state", "0 ok, 1 stale, 2 failing, 3 not loaded.", "source"),
		lastSync:     desc("source_last_sync_timestamp_seconds", "When the source was last confirmed.", "source"),
		age:          desc("verdict_age_seconds", "Time since the source was last confirmed.", "source"),
		devices:      desc("source_devices", "Devices that the source knows.", "source", "compliance"),
		breaker:      desc("breaker_state", "0 closed, 1 half-open, 2 open.", "source"),
		cacheEntries: desc("cache_entries", "Remembered entries.", "cache"),
		cacheLookups: desc("cache_lookups_total", "Look-ups by result.", "result"),
		jwksAge:      desc("jwks_age_seconds", "Time since the issuer's keys were confirmed.", "issuer"),
		expiry:       desc("credential_expiry_seconds", "Time until a credential or list ends.", "kind"),
		revoked:      desc("revocations", "Revocations in force."),
		trial:        desc("report_only_until_timestamp_seconds", "When a policy's report_only ends.", "policy"),
	}
}

func (c *statusCollector) attach(a *App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apps = append(c.apps, a)
}

func (c *statusCollector) detach(a *App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apps = slices.DeleteFunc(c.apps, func(o *App) bool { return o == a })
}

// app is the running configuration, or nil.
func (c *statusCollector) app() *App {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.apps) == 0 {
		return nil
	}
	return c.apps[len(c.apps)-1]
}

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.state, c.lastSync, c.age, c.devices, c.breaker, c.cacheEntries, c.cacheLookups, c.jwksAge, c.expiry, c.revoked, c.trial,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	a := c.app()
	if a == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	now := time.Now()
	for _, s := range a.sources {
		st := s.runner.Status()
		gauge(c.state, stateValue(st.State), st.Name)
		gauge(c.breaker, breakerValue(st.Breaker), st.Name)
		if state := s.runner.State(); state.Loaded() {
			age := time.Duration(decision.Mono(now) - state.Confirmed()).Seconds()
			gauge(c.age, age, st.Name)
			gauge(c.lastSync, float64(now.Unix())-age, st.Name)
		}
		for compliance, n := range st.ByCompliance {
			gauge(c.devices, float64(n), st.Name, compliance)
		}
	}
	gauge(c.cacheEntries, float64(a.identifier.known.Len()), "identities")
	stats := a.identifier.known.Stats()
	ch <- prometheus.MustNewConstMetric(c.cacheLookups, prometheus.CounterValue, float64(stats.Hits+a.identifier.hits.Load()), "hit")
	ch <- prometheus.MustNewConstMetric(c.cacheLookups, prometheus.CounterValue, float64(stats.Misses), "miss")
	gauge(c.revoked, float64(a.shared.revocations.Len()))
	if a.tokens != nil {
		gauge(c.cacheEntries, float64(a.tokens.Len()), "tokens")
		for _, is := range a.tokens.Status() {
			if is.Age > 0 {
				gauge(c.jwksAge, is.Age.Seconds(), is.Name)
			}
		}
	}
	for name, b := range a.bound {
		if until := b.ReportOnlyUntil; !until.IsZero() {
			gauge(c.trial, float64(until.Unix()), name)
		}
	}
	c.collectExpiry(a, now, gauge)
}

func (c *statusCollector) collectExpiry(a *App, now time.Time, gauge func(*prometheus.Desc, float64, ...string)) {
	if a.certs == nil {
		return
	}
	var ca, crl time.Time
	for _, cert := range a.certs.roots {
		ca = earlier(ca, cert.NotAfter)
	}
	for _, l := range a.certs.crls {
		if st := l.Status(); st.Loaded {
			crl = earlier(crl, st.NextUpdate)
		}
	}
	if !ca.IsZero() {
		gauge(c.expiry, ca.Sub(now).Seconds(), "device_ca")
	}
	if !crl.IsZero() {
		gauge(c.expiry, crl.Sub(now).Seconds(), "crl")
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func stateValue(h source.Health) float64 {
	switch h {
	case source.HealthOK:
		return 0
	case source.HealthStale:
		return 1
	case source.HealthFailing:
		return 2
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
