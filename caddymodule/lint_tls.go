package caddymodule

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// lintTLSPolicy is the part of a TLS connection policy that Lint looks at.
type lintTLSPolicy struct {
	Match struct {
		SNI []string `json:"sni"`
	} `json:"match"`
	ClientAuth *lintClientAuth `json:"client_authentication"`
}

type lintClientAuth struct {
	Mode      string          `json:"mode"`
	CA        json.RawMessage `json:"ca"`
	Certs     []string        `json:"trusted_ca_certs"`
	Files     []string        `json:"trusted_ca_certs_pem_files"`
	Leafs     []string        `json:"trusted_leaf_certs"`
	Verifiers json.RawMessage `json:"verifiers"`
}

func (c *lintClientAuth) hasPool() bool {
	return len(c.CA) > 0 && string(c.CA) != "null" || len(c.Certs) > 0 || len(c.Files) > 0
}

// asks reports whether the policy asks for certificates at all.
func (c *lintClientAuth) asks() bool {
	return c != nil && (c.Mode != "" || c.hasPool() || len(c.Leafs) > 0 || len(c.Verifiers) > 0)
}

// verifies reports whether a certificate is checked against a pool of its own.
// Without a mode Caddy requires one, and verifies it if there is a pool.
func (c *lintClientAuth) verifies() bool {
	return c.hasPool() && (c.Mode == "" || c.Mode == "verify_if_given" || c.Mode == "require_and_verify")
}

// certificates checks that the TLS side of client_certificate, or of certificates
// that a directory pins, does what the compliance app expects. Without either a mode
// that verifies nothing is all that there is to find.
func (l *linter) certificates() {
	cc, pins := l.cfg.Apps.Compliance.ClientCertificate, pinsCertificates(l.cfg.Apps.Compliance.Sources)
	if cc == nil && !pins {
		for _, name := range sortedKeys(l.gated) {
			srv := l.cfg.Apps.HTTP.Servers[name]
			for i := range srv.TLS {
				if p := &srv.TLS[i]; p.ClientAuth != nil && unverified(p.ClientAuth.Mode) {
					l.clientAuth(p, fmt.Sprintf("apps.http.servers.%s.tls_connection_policies[%d]", name, i), sniOf(p, name))
					l.selfMade(p, name)
				}
			}
		}
		return
	}
	asked := false
	for _, name := range sortedKeys(l.cfg.Apps.HTTP.Servers) {
		srv := l.cfg.Apps.HTTP.Servers[name]
		if srv == nil {
			continue
		}
		for i := range srv.TLS {
			p := &srv.TLS[i]
			if !p.ClientAuth.asks() {
				continue
			}
			asked = true
			l.clientAuth(p, fmt.Sprintf("apps.http.servers.%s.tls_connection_policies[%d]", name, i), sniOf(p, name))
			l.selfMade(p, name)
			l.shadowed(srv, i, name)
		}
		if srv.StrictSNIHost != nil && !*srv.StrictSNIHost && asksAny(srv) {
			l.add(SeverityError, "insecure_sni", name, "apps.http.servers."+name+".strict_sni_host",
				"strict_sni_host is off while certificates are asked for: a client can connect under one host's TLS rules and use another host",
				"remove `strict_sni_host insecure_off`")
		}
	}
	switch {
	case asked:
	case cc == nil:
		l.add(SeverityWarning, "no_client_auth", "apps.compliance.sources", "",
			"pinned_certificates is on, but no site asks for certificates, so none will ever be seen",
			"add `tls { client_auth { mode request } }` to the sites")
	case l.cfg.Apps.Compliance.ForwardedCertificate == nil:
		l.add(SeverityWarning, "no_client_auth", firstOf(cc.Place, "apps.compliance.client_certificate"), "",
			"client_certificate is configured, but no site asks for certificates, so none will ever be seen",
			"add `tls { client_auth { mode verify_if_given; trust_pool file ... } }` to the sites")
	}
}

func asksAny(srv *lintServer) bool {
	for i := range srv.TLS {
		if srv.TLS[i].ClientAuth.asks() {
			return true
		}
	}
	return false
}

func sniOf(p *lintTLSPolicy, server string) string {
	if len(p.Match.SNI) == 0 {
		return server
	}
	return strings.Join(p.Match.SNI, ",")
}

// unverified are the modes that take any certificate, also one that its owner made.
func unverified(mode string) bool { return mode == "request" || mode == "require" }

func (l *linter) clientAuth(p *lintTLSPolicy, path, place string) {
	c := p.ClientAuth
	switch {
	case unverified(c.Mode) && pinsCertificates(l.cfg.Apps.Compliance.Sources):
		// The directory knows the certificates: see pinned.
	case unverified(c.Mode):
		l.add(SeverityError, "verifies_nothing", place, path,
			fmt.Sprintf("client_auth mode %s asks for a certificate and verifies nothing, so certificates are never used", c.Mode),
			"use `mode verify_if_given` or `mode require_and_verify`, with a trust_pool")
	case !c.verifies():
		l.add(SeverityError, "no_trust_pool", place, path,
			"client_auth has no trust_pool: certificates are checked against the system's public authorities, or not at all",
			"add `trust_pool file FILE` with the authority of your devices")
	}
}

// certificateUse is a place in a server's routes that reads the client's certificate
// as Caddy has it.
type certificateUse struct {
	point
	server string
}

// handlerUsesCertificate looks at what a handler itself says: routes in it are walked
// on their own.
func (w *walker) handlerUsesCertificate(raw json.RawMessage, handler, path string, chain []step) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return
	}
	switch {
	case handler == "subroute":
		delete(members, "routes")
		delete(members, "errors")
	case handler == "reverse_proxy" || passing[handler]:
		delete(members, "handle_response")
	}
	w.usesCertificate(members, path, chain)
}

// usesCertificate notes placeholders of the client's certificate. The short ones of
// a Caddyfile are for texts that only their reader expands.
func (w *walker) usesCertificate(members map[string]json.RawMessage, path string, chain []step) {
	for _, raw := range members {
		if strings.Contains(string(raw), "request.tls.client.") || strings.Contains(string(raw), "tls_client_") {
			w.shown = append(w.shown, certificateUse{point{w.place(chain), path, chain}, w.server})
			return
		}
	}
}

// selfMade reports what reads the certificate where any certificate is taken: its
// subject is whatever the client wrote into it.
func (l *linter) selfMade(p *lintTLSPolicy, server string) {
	if !unverified(p.ClientAuth.Mode) {
		return
	}
	l.shown = slices.DeleteFunc(l.shown, func(u certificateUse) bool {
		if u.server != server || !mayReach(p.Match.SNI, u.chain) {
			return false
		}
		l.add(SeverityError, "self_made_certificate", u.place, u.path,
			fmt.Sprintf("a placeholder of the client's certificate is used, but client_auth mode %s verifies nothing, so everybody can write what it says", p.ClientAuth.Mode),
			"use a placeholder such as {http.compliance.device.id}, or a mode that verifies")
		return true
	})
}

// mayReach reports whether a connection for one of the names can bring a request to
// the end of the chain. Without names it is one for any.
func mayReach(names []string, chain []step) bool {
	if len(names) == 0 {
		return true
	}
	return !slices.ContainsFunc(chain, func(s step) bool {
		// A step keeps them all out if each of its sets asks for other hosts.
		return !slices.ContainsFunc(s.sets, func(set matchSet) bool {
			var hosts []string
			return set["host"] == nil || json.Unmarshal(set["host"], &hosts) != nil || slices.ContainsFunc(hosts, func(host string) bool {
				return slices.ContainsFunc(names, func(name string) bool { return hostsMeet(name, host) })
			})
		})
	})
}

// hostsMeet reports whether a host can match both; either may begin with a wildcard.
// In doubt, as with a placeholder, they do.
func hostsMeet(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if strings.ContainsAny(strings.TrimPrefix(a, "*")+strings.TrimPrefix(b, "*"), "{*") {
		return true
	}
	under := func(wide, host string) bool {
		suffix, ok := strings.CutPrefix(wide, "*")
		return ok && strings.HasSuffix(host, suffix)
	}
	return a == b || under(a, b) || under(b, a)
}

// shadowed reports a wildcard policy that stands before a policy for one of its
// hosts and asks differently: Caddy takes the first that matches.
func (l *linter) shadowed(srv *lintServer, i int, server string) {
	for _, host := range srv.TLS[i].Match.SNI {
		for k := range i {
			first := &srv.TLS[k]
			same := first.ClientAuth.asks() && first.ClientAuth.Mode == srv.TLS[i].ClientAuth.Mode
			for _, wide := range first.Match.SNI {
				if suffix, ok := strings.CutPrefix(wide, "*"); ok && !same && wide != host && strings.HasSuffix(host, suffix) {
					l.add(SeverityWarning, "shadowed_client_auth", host,
						fmt.Sprintf("apps.http.servers.%s.tls_connection_policies[%d]", server, i),
						fmt.Sprintf("the TLS policy of %s comes first and has another client_auth", wide),
						fmt.Sprintf("put %s before %s", host, wide))
				}
			}
		}
	}
}

// isAdmin reports whether an upstream's address is that of the admin endpoint.
func (l *linter) isAdmin(dial string) bool {
	if l.cfg.Admin.Disabled || strings.Contains(dial, "{") {
		return false
	}
	admin, err := caddy.ParseNetworkAddress(firstOf(l.cfg.Admin.Listen, caddy.DefaultAdminListen))
	if err != nil {
		return false
	}
	up, err := caddy.ParseNetworkAddress(dial)
	if err != nil {
		return false
	}
	if admin.IsUnixNetwork() || up.IsUnixNetwork() {
		path := func(a caddy.NetworkAddress) string { p, _, _ := strings.Cut(a.Host, "|"); return p }
		return admin.IsUnixNetwork() && up.IsUnixNetwork() && path(admin) == path(up)
	}
	return admin.StartPort <= up.EndPort && up.StartPort <= admin.EndPort && sameMachine(admin.Host, up.Host)
}

// sameMachine compares the host parts of two addresses. An endpoint on every
// address is also reached through loopback.
func sameMachine(listen, dial string) bool {
	local := func(h string) bool {
		addr, err := netip.ParseAddr(strings.Trim(h, "[]"))
		return strings.EqualFold(h, "localhost") || err == nil && addr.Unmap().IsLoopback()
	}
	ip := net.ParseIP(strings.Trim(listen, "[]"))
	everywhere := listen == "" || ip != nil && ip.IsUnspecified()
	if everywhere {
		return local(dial) || strings.EqualFold(listen, dial)
	}
	return strings.EqualFold(listen, dial) || local(listen) && (local(dial) || dial == "")
}
