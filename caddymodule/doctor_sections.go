package caddymodule

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/identity"
	"github.com/gatehouse-project/gatehouse/decision/source/intune"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

// sections lists what there is to examine, in the order of the output.
func (d *doctor) sections() []section {
	all := []section{{"configuration", d.written.Place, func(context.Context) found { return d.examineLoad() }}}
	for _, m := range d.written.Microsoft {
		all = append(all, section{m.title(), m.Place, func(ctx context.Context) found { return d.examineTenant(ctx, m) }})
	}
	all = append(all, d.sourceSections()...)
	for _, is := range d.written.Issuers {
		all = append(all, section{"issuer " + is.Name, is.Place, func(ctx context.Context) found { return examineIssuer(ctx, is) }})
	}
	if cc := d.written.ClientCertificate; cc != nil {
		all = append(all, section{"client_certificate", cc.Place, func(ctx context.Context) found { return examineCertificates(ctx, cc) }})
	}
	if files := siteCertificates(d.config); len(files) > 0 {
		all = append(all, section{"site certificates", "", func(context.Context) found { return examineSiteCertificates(files) }})
	}
	return all
}

func oneFault(check string, err error, fix string) found {
	return found{findings: []checkup.Finding{checkup.Fail(check, err.Error(), fix)}}
}

// examineLoad says whether a gateway would start with this configuration.
func (d *doctor) examineLoad() (f found) {
	err := d.loadErr
	if err == nil {
		err = d.written.provisionOperator(caddy.Context{})
	}
	if err != nil {
		return oneFault(checkup.CheckLoad, fmt.Errorf("the gateway would not load this configuration: %w", err),
			"mend this first, and run doctor with the environment of the gateway's service")
	}
	return found{findings: []checkup.Finding{checkup.Ok(checkup.CheckLoad, fmt.Sprintf("it loads (policies: %d, sources: %d, issuers: %d)",
		len(d.app.policies.Names()), len(d.app.sources), len(d.written.Issuers)))}}
}

// sourceHead is what the form of a source says about itself.
type sourceHead struct {
	Kind   string `json:"source"`
	Name   string `json:"name"`
	Tenant string `json:"tenant"`
	// RemoteSync is a source intune's wish to tell devices to check in.
	RemoteSync *bool `json:"remote_sync"`
}

func (d *doctor) heads() []sourceHead {
	heads := make([]sourceHead, len(d.sources))
	for i, raw := range d.sources {
		if json.Unmarshal(raw, &heads[i]) == nil && heads[i].Name == "" {
			heads[i].Name = heads[i].Kind
		}
	}
	return heads
}

func (d *doctor) sourceSections() []section {
	var all []section
	for i, h := range d.heads() {
		all = append(all, section{"source " + h.Name, placeOf(d.sources[i]), func(ctx context.Context) found {
			if d.loadErr == nil {
				return d.examineLoaded(ctx, d.app.sources[i])
			}
			p := &d.parts[i]
			if p.err != nil {
				return oneFault(checkup.CheckSetting, p.err, "correct the source's block, and run doctor with the environment of the gateway's service")
			}
			return examineSource(ctx, p.src)
		}})
	}
	return all
}

// examineLoaded examines a source of the whole. Of a local one it also says what a
// gateway made of its file, and which policies are still served by it.
func (d *doctor) examineLoaded(ctx context.Context, s *pooledSource) found {
	f := examineSource(ctx, s.src)
	if s.remote {
		return f
	}
	st := s.runner.Status()
	if !s.runner.State().Loaded() {
		f.findings = append(f.findings, checkup.Fail(checkup.CheckLoad, "a gateway would not take the file: "+firstOf(st.LastError, "it was not read"), "mend the file; until then its devices are undecided"))
		return f
	}
	if st.Held != nil {
		f.findings = append(f.findings, checkup.Warn(checkup.CheckLoad, "a gateway would hold changes of the file back: "+st.Held.Why, "look at them: gatehouse status, gatehouse accept"))
	}
	if s.runner.State().Failing() == decision.CauseNone {
		return f
	}
	age := time.Since(st.Confirmed)
	var over, soon []string
	for _, name := range d.app.policies.Names() {
		p, _ := d.app.policies.Policy(name)
		if age > p.Ages.MaxAge+p.Ages.StaleIfError {
			over = append(over, name)
		} else {
			soon = append(soon, name+" in "+checkup.Span(p.Ages.MaxAge+p.Ages.StaleIfError-age))
		}
	}
	text := "the file counts as failing: "
	if len(over) > 0 {
		text += "devices that only it knows are undecided under " + strings.Join(over, ", ")
	}
	if len(over) > 0 && len(soon) > 0 {
		text += "; "
	}
	if len(soon) > 0 {
		text += "they become so under " + strings.Join(soon, ", ")
	}
	f.findings = append(f.findings, checkup.Fail(checkup.CheckAge, text, "renew the file"))
	return f
}

// examineTenant examines what the sources of one tenant share.
func (d *doctor) examineTenant(ctx context.Context, m *Microsoft) found {
	t := d.tenants[m.name()]
	if t == nil {
		return oneFault(checkup.CheckSetting, d.refused[m.name()], "correct the block, and run doctor with the environment of the gateway's service")
	}
	return found{findings: t.Examine(ctx, d.usedRoles(m.name()), d.resources(m.name())...)}
}

// usedRoles are the permissions beyond reading that the sources of a tenant use.
func (d *doctor) usedRoles(tenant string) []string {
	for _, h := range d.heads() {
		if h.Kind == "intune" && firstOf(h.Tenant, tenant) == tenant && isOn(h.RemoteSync, false) {
			return []string{intune.RemoteSyncRole}
		}
	}
	return nil
}

// resources are the services that the sources of a tenant talk to.
func (d *doctor) resources(tenant string) []microsoft.Resource {
	need := []microsoft.Resource{microsoft.Graph}
	for _, h := range d.heads() {
		if firstOf(h.Tenant, tenant) != tenant {
			continue
		}
		switch h.Kind {
		case "defender":
			need = append(need, microsoft.Defender)
		case "nac":
			need = append(need, microsoft.Intune)
		}
	}
	slices.Sort(need)
	return slices.Compact(need)
}

// headroom asks a tenant, after all calls, how much of its limits is left.
func (d *doctor) headroom(name string) []checkup.Finding {
	t := d.tenants[firstOf(name, "microsoft")]
	if t == nil {
		return nil
	}
	return t.ExamineHeadroom()
}

func examineIssuer(ctx context.Context, is *Issuer) found {
	o, err := is.options()
	if err != nil {
		return oneFault(checkup.CheckSetting, err, "correct the issuer's block, and run doctor with the environment of the gateway's service")
	}
	return found{findings: identity.ExamineIssuer(ctx, o)}
}

// examineCertificates examines the authorities of device certificates and their
// revocation lists.
func examineCertificates(ctx context.Context, cc *ClientCertificate) (f found) {
	add := func(more ...checkup.Finding) { f.findings = append(f.findings, more...) }
	err := cc.validate()
	if err == nil {
		_, err = cc.options()
	}
	if err != nil {
		add(checkup.Fail(checkup.CheckSetting, err.Error(), "correct the block"))
	}
	var pool []*x509.Certificate
	for _, path := range cc.TrustPool {
		path, err := resolveErr(path)
		var certs []*x509.Certificate
		if err == nil {
			certs, err = readCertificates(path)
		}
		if err != nil {
			add(checkup.Fail(checkup.CheckFile, "trust_pool: "+err.Error(), "check the path, and that the file is PEM and readable"))
			continue
		}
		pool = append(pool, certs...)
	}
	if len(pool) == 0 {
		return f
	}
	add(identity.ExamineTrustPool(pool, time.Now())...)
	for _, from := range cc.CRL {
		from, err := resolveErr(from)
		if err != nil {
			add(checkup.Fail(checkup.CheckSetting, "revocation crl: "+err.Error(), "set what the placeholder stands for"))
			continue
		}
		add(identity.ExamineCRL(ctx, crlOptions(from, pool)))
	}
	return f
}

// siteCertificates are the certificate files that a configuration names for its
// sites.
func siteCertificates(config []byte) []string {
	var cfg struct {
		Apps struct {
			TLS struct {
				Certificates struct {
					LoadFiles []struct {
						Certificate string `json:"certificate"`
					} `json:"load_files"`
				} `json:"certificates"`
			} `json:"tls"`
		} `json:"apps"`
	}
	if json.Unmarshal(config, &cfg) != nil { // it was read before
		return nil
	}
	var files []string
	for _, f := range cfg.Apps.TLS.Certificates.LoadFiles {
		files = append(files, f.Certificate)
	}
	return files
}

func examineSiteCertificates(files []string) (f found) {
	for _, path := range files {
		certs, err := readCertificates(resolve(path))
		if err != nil {
			f.findings = append(f.findings, checkup.Fail(checkup.CheckFile, "site certificate: "+err.Error(), "check the path, and that the file is PEM and readable"))
			continue
		}
		f.findings = append(f.findings, checkup.Expiry(checkup.CheckCertificate, "site certificate "+path, certs[0].NotBefore, certs[0].NotAfter,
			time.Now(), checkup.NoticeCredential, "renew it and load the configuration again"))
	}
	return f
}
