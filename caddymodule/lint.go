package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// Severity says how bad a finding is.
type Severity string

// The severities. An error is a way around the gateway, or something that looks
// like a check and is none. A warning needs a look. A note is worth knowing.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityNote    Severity = "note"
)

// Finding is one thing that Lint found.
type Finding struct {
	Severity Severity `json:"severity"`
	// Code names the kind of finding; it is stable.
	Code string `json:"code"`
	// Place is the site and its matchers, or file and line where known.
	Place string `json:"place"`
	// Path is where it stands in the JSON configuration.
	Path string `json:"path,omitempty"`
	Text string `json:"text"`
	// Do is what to do about it.
	Do string `json:"do"`
}

// String is the finding as one line.
func (f *Finding) String() string {
	s := string(f.Severity) + ": "
	if f.Place != "" {
		s += f.Place + ": "
	}
	s += f.Text + "; " + f.Do
	if f.Path != "" {
		s += " [" + f.Path + "]"
	}
	return policy.Visible(s)
}

// lintConfig is the part of a configuration that Lint looks at. It is lenient:
// whether the configuration loads at all is for `validate`.
type lintConfig struct {
	Admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	} `json:"admin"`
	Apps struct {
		HTTP struct {
			GracePeriod json.RawMessage        `json:"grace_period"`
			Servers     map[string]*lintServer `json:"servers"`
		} `json:"http"`
		Compliance *lintApp `json:"compliance"`
	} `json:"apps"`
}

type lintApp struct {
	ClientCertificate    *ClientCertificate    `json:"client_certificate"`
	ForwardedCertificate *ForwardedCertificate `json:"forwarded_certificate"`
	Sources              []json.RawMessage     `json:"sources"`
	Policies             []struct {
		Lines []struct {
			Words []string `json:"words"`
			Place string   `json:"place"`
		} `json:"lines"`
	} `json:"policies"`
}

type lintServer struct {
	Listen         []string              `json:"listen"`
	Routes         []lintRoute           `json:"routes"`
	Errors         *lintRoutes           `json:"errors"`
	NamedRoutes    map[string]*lintRoute `json:"named_routes"`
	TLS            []lintTLSPolicy       `json:"tls_connection_policies"`
	StrictSNIHost  *bool                 `json:"strict_sni_host"`
	TrustedProxies json.RawMessage       `json:"trusted_proxies"`
	Wrappers       []struct {
		Wrapper string `json:"wrapper"`
	} `json:"listener_wrappers"`
}

type lintRoutes struct {
	Routes []lintRoute `json:"routes"`
}

type lintRoute struct {
	Match    []matchSet        `json:"match"`
	Handle   []json.RawMessage `json:"handle"`
	Terminal bool              `json:"terminal"`
	Group    string            `json:"group"`
}

// linter collects findings.
type linter struct {
	cfg      lintConfig
	findings []Finding
	gated    map[string]bool // servers with a compliance handler
	shown    []certificateUse
}

func (l *linter) add(s Severity, code, place, path, text, do string) {
	l.findings = append(l.findings, Finding{s, code, place, path, text, do})
}

// Lint looks for ways around the gateway in a Caddy configuration in JSON form.
// Findings come in the order of the configuration, errors first. It starts
// nothing, reads no other file and asks nobody.
func Lint(config []byte) ([]Finding, error) {
	l := &linter{gated: map[string]bool{}, findings: []Finding{}}
	err := json.Unmarshal(config, &l.cfg)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if l.cfg.Apps.Compliance == nil {
		return nil, errors.New("configuration: it has no compliance app; in a Caddyfile that is the global option `compliance { ... }`")
	}
	http := &l.cfg.Apps.HTTP
	for _, name := range sortedKeys(http.Servers) {
		if srv := http.Servers[name]; srv != nil {
			l.walk(name, srv)
		}
	}
	if len(l.gated) == 0 {
		l.add(SeverityError, "nothing_gated", "apps.http", "", "no site has a compliance handler",
			"put `compliance POLICY` into the sites to protect")
	}
	l.certificates()
	l.clientAddresses()
	l.handover()
	if len(http.GracePeriod) == 0 || string(http.GracePeriod) == "0" {
		l.add(SeverityNote, "no_grace_period", "apps.http", "apps.http.grace_period",
			"there is no grace_period, so a stop waits for slow requests for ever", "add `grace_period 10s` to the global options")
	}
	order := []Severity{SeverityError, SeverityWarning, SeverityNote}
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
	})
	return l.findings, nil
}

// handover checks that a reload keeps the connections that are just being made.
func (l *linter) handover() {
	told := false
	for _, name := range sortedKeys(l.gated) {
		path := "apps.http.servers." + name + ".listener_wrappers"
		tls, found := false, false
		for _, w := range l.cfg.Apps.HTTP.Servers[name].Wrappers {
			tls = tls || w.Wrapper == "tls"
			found = found || w.Wrapper == "handover"
			if w.Wrapper == "handover" && tls {
				l.add(SeverityWarning, "handover_behind_tls", name, path,
					"handover stands behind tls, so after a reload some requests to the new configuration come over connections with the old one's TLS settings",
					"write handover before tls")
			}
		}
		switch {
		case found && !tls:
			l.add(SeverityWarning, "handover_behind_tls", name, path,
				"listener_wrappers has handover and no tls, and Caddy then puts tls first", "write tls behind handover")
		case !found && !told:
			told = true
			l.add(SeverityNote, "no_handover", name, path,
				"a reload loses connections that are just being made", "add `servers { listener_wrappers { handover; tls } }` to the global options")
		}
	}
}

// clientAddresses checks that `require network` sees clients, not the proxy in
// front.
func (l *linter) clientAddresses() {
	app := l.cfg.Apps.Compliance
	if app.ForwardedCertificate == nil {
		return
	}
	place := ""
	for _, p := range app.Policies {
		for _, line := range p.Lines {
			text := strings.Join(line.Words, " ")
			if place == "" && (strings.HasPrefix(text, "require network") || strings.Contains(text, "client_ip")) {
				place = firstOf(line.Place, "apps.compliance.policies")
			}
		}
	}
	if place == "" {
		return
	}
	for _, name := range sortedKeys(l.gated) {
		if len(l.cfg.Apps.HTTP.Servers[name].TrustedProxies) == 0 {
			l.add(SeverityWarning, "no_trusted_proxies", place, "apps.http.servers."+name+".trusted_proxies",
				"the policy asks for the client's network, but requests come through the proxy of forwarded_certificate, and its address is seen instead",
				"name the proxy in the global option `servers { trusted_proxies static ADDRESS }`")
		}
	}
}
