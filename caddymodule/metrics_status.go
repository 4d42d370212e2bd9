package caddymodule

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// statusCollector reports gauges from the running configuration at scrape time,
// so that nothing has to keep them up to date.
type statusCollector struct {
	// apps are the started configurations, the one that counts last: when a
	// load fails half-way, the one before it is still running.
	mu   sync.Mutex
	apps []*App

	all []*prometheus.Desc

	state, lastSync, age, devices, breaker            *prometheus.Desc
	held, skipped, refused, partner, conflicts        *prometheus.Desc
	budget, wait, circuit, token                      *prometheus.Desc
	cacheEntries, cacheLookups                        *prometheus.Desc
	jwksAge, jwksUsable, crlUsable, expiry            *prometheus.Desc
	ready, revoked, journal, maxAge, staleFor, trials *prometheus.Desc
}

func newStatusCollector() *statusCollector {
	c := &statusCollector{}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("gatehouse_"+name, help, labels, nil)
		c.all = append(c.all, d)
		return d
	}
	c.ready = desc("ready", "1 if every source that decides whether a device exists was read.")
	c.state = desc("source_state", "0 ok, 1 stale, 2 failing, 3 not loaded, 4 idle.", "source")
	c.lastSync = desc("source_last_sync_timestamp_seconds", "When the source was last confirmed.", "source")
	c.age = desc("verdict_age_seconds", "Time since the source was last confirmed.", "source")
	c.devices = desc("source_devices", "Devices that the source knows.", "source", "compliance")
	c.breaker = desc("breaker_state", "0 closed, 1 half-open, 2 open.", "source")
	c.held = desc("source_held_devices", "Devices of a change that a guard holds back until an operator accepts it.", "source")
	c.skipped = desc("source_skipped_values", "Values that count as unknown since the last complete listing.", "source", "field", "reason")
	c.refused = desc("source_refused_reads", "Reads beside the listing that failed, since the start.", "source", "read")
	c.partner = desc("source_partner_silent", "1 if a partner that the source relies on stopped reporting.", "source", "platform")
	c.conflicts = desc("source_conflicts", "Devices on which sources disagree, as last counted.", "fact")
	c.budget = desc("microsoft_budget_used_ratio", "Share of our part of a published limit that is spent in the present window.", "tenant", "scope")
	c.wait = desc("microsoft_wait_seconds", "How long the service still wants to be left alone.", "tenant", "scope")
	c.circuit = desc("microsoft_circuit_state", "0 closed, 1 half-open, 2 open.", "tenant", "endpoint")
	c.token = desc("microsoft_token_failing", "1 if the last request for a token failed in this way.", "tenant", "resource", "kind")
	c.cacheEntries = desc("cache_entries", "Remembered entries.", "cache")
	c.cacheLookups = desc("cache_lookups_total", "Look-ups by result.", "result")
	c.jwksAge = desc("jwks_age_seconds", "Time since the issuer's keys were confirmed.", "issuer")
	c.jwksUsable = desc("jwks_usable", "1 if tokens of the issuer can be checked.", "issuer")
	c.crlUsable = desc("crl_usable", "1 if the revocation list may be used now.", "crl")
	c.expiry = desc("credential_expiry_seconds", "Time until a credential or list ends.", "kind")
	c.revoked = desc("revocations", "Revocations in force.")
	c.journal = desc("revocation_journal_failing", "1 if what was revoked last may not be on disk.")
	c.maxAge = desc("policy_max_age_seconds", "How old facts may be under a policy.", "policy")
	c.staleFor = desc("policy_stale_if_error_seconds", "How much older while their source fails.", "policy")
	c.trials = desc("report_only_until_timestamp_seconds", "When a policy's report_only ends.", "policy")
	return c
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
	for _, d := range c.all {
		ch <- d
	}
}

// gaugeFunc reports one gauge.
type gaugeFunc func(d *prometheus.Desc, v float64, labels ...string)

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
	gauge(c.ready, truth(a.Ready()))
	for _, s := range a.sources {
		c.collectSource(gauge, now, s)
	}
	for name, t := range a.tenants {
		c.collectTenant(gauge, now, name, t)
	}
	if conflicts := a.conflicts.Load(); conflicts != nil {
		for fact, n := range conflicts.ByFact {
			gauge(c.conflicts, float64(n), fact)
		}
	}
	gauge(c.cacheEntries, float64(a.identifier.known.Len()), "identities")
	stats := a.identifier.known.Stats()
	ch <- prometheus.MustNewConstMetric(c.cacheLookups, prometheus.CounterValue, float64(stats.Hits+a.identifier.hits.Load()), "hit")
	ch <- prometheus.MustNewConstMetric(c.cacheLookups, prometheus.CounterValue, float64(stats.Misses), "miss")
	gauge(c.revoked, float64(a.shared.revocations.Len()))
	gauge(c.journal, truth(a.shared.revocations.Broken() != nil))
	c.collectTrust(gauge, now, a)
	for name, b := range a.bound {
		gauge(c.maxAge, b.Ages.MaxAge.Seconds(), name)
		gauge(c.staleFor, b.Ages.StaleIfError.Seconds(), name)
		if until := b.ReportOnlyUntil; !until.IsZero() {
			gauge(c.trials, float64(until.Unix()), name)
		}
	}
}

// collectTrust reports keys of issuers, authorities and revocation lists.
func (c *statusCollector) collectTrust(gauge gaugeFunc, now time.Time, a *App) {
	if a.tokens != nil {
		gauge(c.cacheEntries, float64(a.tokens.Len()), "tokens")
		for _, is := range a.tokens.Status() {
			gauge(c.jwksUsable, truth(is.Usable), is.Name)
			if is.Age > 0 {
				gauge(c.jwksAge, is.Age.Seconds(), is.Name)
			}
		}
	}
	if a.certs == nil {
		return
	}
	var ca, crl time.Time
	for _, cert := range a.certs.roots {
		ca = earlier(ca, cert.NotAfter)
	}
	for _, l := range a.certs.crls {
		st := l.Status()
		gauge(c.crlUsable, truth(st.Usable), st.Name)
		if st.Loaded {
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
