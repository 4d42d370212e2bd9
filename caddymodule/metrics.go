package caddymodule

import (
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Modes of a decision, a metric label.
const (
	modeEnforce = iota
	modeReport
	modeShadow
	numModes
)

var modeNames = [numModes]string{"enforce", "report_only", "shadow"}

// meters are the collectors. They live as long as the process, so that counters
// go on over a config reload; each load registers them on its own registry.
type meters struct {
	decisions  *prometheus.CounterVec
	reasons    *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	spoofs     *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	foreign    prometheus.Counter
	refused    [numRefusals]prometheus.Counter
	refusals   *prometheus.CounterVec
	requests   *prometheus.CounterVec
	microsoft  *prometheus.CounterVec
	msFailures *prometheus.CounterVec
	reqSeconds *prometheus.HistogramVec
	revocation prometheus.Histogram
	rows       *prometheus.CounterVec
	guarded    *prometheus.CounterVec
	denied     *prometheus.CounterVec

	mu     sync.Mutex
	bound  map[string]*policyCounters
	spoof  [numSpoofKinds]prometheus.Counter
	status *statusCollector
}

// policyCounters are the counters of one policy, bound once so that a decision
// costs no label look-up.
type policyCounters struct {
	outcomes [numModes][decision.Block + 1]prometheus.Counter
	reasons  [numModes][decision.NumReasons]prometheus.Counter
	seconds  prometheus.Observer
}

var processMeters = sync.OnceValue(newMeters)

func newMeters() *meters {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "gatehouse", Name: name, Help: help}, labels)
	}
	m := &meters{
		decisions: counter("decisions_total", "Decisions, once per policy and request.", "policy", "outcome", "mode"),
		reasons:   counter("decision_reasons_total", "Reasons found in decisions.", "policy", "reason", "mode"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "gatehouse", Name: "decision_duration_seconds",
			Help:    "Time from the start of the handler to the decision.",
			Buckets: []float64{1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 1e-2, 0.1, 1},
		}, []string{"policy"}),
		spoofs:   counter("spoof_attempts_total", "Client headers removed because they could be taken for ours.", "kind"),
		rejected: counter("tokens_rejected_total", "Bearer tokens of a configured issuer that were refused.", "issuer", "reason"),
		foreign: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "gatehouse", Name: "foreign_certificates_total",
			Help: "Requests with a client certificate that is not of our trust pool.",
		}),
		requests: counter("source_requests_total", "Reads, look-ups and requests to check in at a source.", "source", "result"),
		reqSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "gatehouse", Name: "source_request_duration_seconds", Help: "Time of one read or look-up at a source.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"source"}),
		revocation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "gatehouse", Name: "revocation_seconds", Help: "Time from a revocation request until it is durable and in force.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
		refusals:   counter("requests_refused_total", "Requests that are refused on every gated site, before any policy.", "why"),
		microsoft:  counter("microsoft_requests_total", "Calls to a Microsoft service, by what came of them.", "tenant", "endpoint", "result"),
		msFailures: counter("microsoft_failures_total", "Calls to a Microsoft service that failed, by what the failure means.", "tenant", "endpoint", "kind"),

		rows:    counter("source_bad_records_total", "Records of a source that were skipped.", "source"),
		guarded: counter("source_guard_total", "Sweeps that a guard rejected or held in part.", "source", "guard"),
		denied:  counter("source_denied_total", "Reads and look-ups that a service refused to a source.", "source", "why"),
		bound:   map[string]*policyCounters{},
	}
	m.status = newStatusCollector()
	for k := range numRefusals {
		m.refused[k] = m.refusals.WithLabelValues(refusals[k].why)
	}
	for k := spoofIdentity; k < numSpoofKinds; k++ {
		m.spoof[k] = m.spoofs.WithLabelValues(spoofKindNames[k])
	}
	return m
}

// register adds the collectors to the registry of one config load.
func (m *meters) register(reg *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{
		m.decisions, m.reasons, m.duration, m.spoofs, m.refusals, m.rejected, m.foreign, m.requests, m.reqSeconds, m.microsoft,
		m.msFailures, m.revocation, m.rows, m.guarded, m.denied, m.status,
	} {
		err := reg.Register(c)
		var already prometheus.AlreadyRegisteredError
		if err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

// policy binds the counters of a policy. Label values come from the
// configuration and from closed lists only.
func (m *meters) policy(name string) *policyCounters {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.bound[name]; c != nil {
		return c
	}
	c := &policyCounters{seconds: m.duration.WithLabelValues(name)}
	for mode, label := range modeNames {
		for _, o := range decision.Outcomes {
			c.outcomes[mode][o] = m.decisions.WithLabelValues(name, o.String(), label)
		}
	}
	m.bound[name] = c
	return c
}

// count records one decision. Reason counters are bound when first needed.
func (m *meters) count(b *boundPolicy, mode int, d *decision.Decision) {
	b.counters.outcomes[mode][d.Outcome].Inc()
	for i := range d.Findings {
		m.countReason(b, mode, d.Findings[i].Reason)
	}
}

func (m *meters) countReason(b *boundPolicy, mode int, r decision.Reason) {
	m.mu.Lock()
	c := b.counters.reasons[mode][r]
	if c == nil {
		c = m.reasons.WithLabelValues(b.Name, r.Code(), modeNames[mode])
		b.counters.reasons[mode][r] = c
	}
	m.mu.Unlock()
	c.Inc()
}

func (m *meters) spoofed(k spoofKind) { m.spoof[k].Inc() }

func (m *meters) tokenRejected(issuer, reason string) {
	m.rejected.WithLabelValues(issuer, reason).Inc()
}

// known reports whether a label value is one of a closed list; others become
// "other", so that no client can grow the number of series.
func known(list []string, v string) string {
	if slices.Contains(list, v) {
		return v
	}
	return "other"
}
