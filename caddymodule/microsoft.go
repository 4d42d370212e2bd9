package caddymodule

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap/exp/zapslog"

	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

// Microsoft are the credentials of one tenant, which the sources intune, entra,
// defender and nac read.
type Microsoft struct {
	// Name tells tenants apart. Default: microsoft.
	Name string `json:"name,omitempty"`
	// Tenant is the tenant's id or one of its domains.
	Tenant string `json:"tenant,omitempty"`
	// ClientID is the id of the application that was registered for the gateway.
	ClientID string `json:"client_id,omitempty"`
	// ClientSecret is one placeholder, {env.NAME} or {file./path}. A file is read
	// for every token request: a new secret needs no restart.
	ClientSecret string `json:"client_secret,omitempty"`
	// Certificate is a file with certificate and private key, PEM or PKCS#12.
	Certificate string `json:"certificate,omitempty"`
	// CertificatePassword opens a PKCS#12 file; one placeholder.
	CertificatePassword string `json:"certificate_password,omitempty"`
	// ManagedIdentity uses the identity of the machine (Azure).
	ManagedIdentity bool `json:"managed_identity,omitempty"`
	// ManagedIdentityID is the client id of a user-assigned identity.
	ManagedIdentityID string `json:"managed_identity_id,omitempty"`
	// WorkloadIdentity uses the federated token of the cluster.
	WorkloadIdentity bool `json:"workload_identity,omitempty"`
	// Cloud is public (default), us_gov, us_gov_dod or china.
	Cloud string `json:"cloud,omitempty"`
	// Endpoints replace the cloud's hosts: authority, graph, defender,
	// defender_audience or intune.
	Endpoints map[string]string `json:"endpoints,omitempty"`
	// CAFile holds the authorities of the endpoints, PEM. Default: the system's.
	CAFile string `json:"ca_file,omitempty"`

	// Place is where it was written, FILE:LINE, for messages.
	Place string `json:"place,omitempty"`
}

var endpointWords = []string{"authority", "graph", "defender", "defender_audience", "intune"}

func parseMicrosoft(d *caddyfile.Dispenser, app *App) error {
	m := &Microsoft{Place: place(d)}
	if d.NextArg() {
		m.Name = d.Val()
	}
	for _, other := range app.Microsoft {
		if other.name() == m.name() {
			return d.Errf("%s is defined twice; give one of them another name: microsoft NAME", m.title())
		}
	}
	secret := func(to *string) func(string) error {
		return func(word string) error {
			err := value(d, to)
			if err == nil && !isPlaceholder(*to) {
				err = d.Errf("%s %s", word, readable)
			}
			return err
		}
	}
	err := block(d, "microsoft", map[string]func(string) error{
		"tenant":               func(string) error { return value(d, &m.Tenant) },
		"client_id":            func(string) error { return value(d, &m.ClientID) },
		"client_secret":        secret(&m.ClientSecret),
		"certificate":          func(string) error { return value(d, &m.Certificate) },
		"certificate_password": secret(&m.CertificatePassword),
		"managed_identity": func(string) error {
			m.ManagedIdentity = true
			if d.NextArg() {
				m.ManagedIdentityID = d.Val()
			}
			return nothingMore(d)
		},
		"workload_identity": func(string) error { m.WorkloadIdentity = true; return nothingMore(d) },
		"cloud":             func(string) error { return choice(d, &m.Cloud, microsoft.CloudNames()...) },
		"ca_file":           func(string) error { return value(d, &m.CAFile) },
		"endpoint": func(string) error {
			args := d.RemainingArgs()
			if len(args) != 2 || !slices.Contains(endpointWords, args[0]) {
				return d.Errf("endpoint takes one of %s, and a URL", oneOf(endpointWords))
			}
			if m.Endpoints == nil {
				m.Endpoints = map[string]string{}
			}
			if m.Endpoints[args[0]] != "" {
				return d.Errf("endpoint %s is given twice", args[0])
			}
			m.Endpoints[args[0]] = args[1]
			return nil
		},
	}, "endpoint")
	if err != nil {
		return err
	}
	err = m.check()
	if err != nil {
		return at(m.Place, err)
	}
	app.Microsoft = append(app.Microsoft, m)
	return nil
}

func (m *Microsoft) name() string {
	if m.Name == "" {
		return "microsoft"
	}
	return m.Name
}

// title names the block in messages.
func (m *Microsoft) title() string {
	if m.Name == "" {
		return "microsoft"
	}
	return "microsoft " + m.Name
}

// check finds what the words show wrong, in a Caddyfile or in JSON.
func (m *Microsoft) check() error {
	kinds := 0
	for _, set := range []bool{m.ClientSecret != "", m.Certificate != "", m.ManagedIdentity, m.WorkloadIdentity} {
		if set {
			kinds++
		}
	}
	switch own := m.ClientSecret != "" || m.Certificate != ""; {
	case !sourceNameOK(m.name()):
		return fmt.Errorf("bad name %.64q of microsoft: letters, digits, _, - and . only", m.Name)
	case kinds != 1:
		return fmt.Errorf("%s needs exactly one of client_secret, certificate, managed_identity and workload_identity", m.title())
	case own && (m.Tenant == "" || m.ClientID == ""):
		return fmt.Errorf("%s needs tenant and client_id", m.title())
	case m.CertificatePassword != "" && m.Certificate == "":
		return fmt.Errorf("%s: certificate_password without certificate", m.title())
	}
	for _, s := range []string{m.ClientSecret, m.CertificatePassword} {
		if s != "" && !isPlaceholder(s) {
			return fmt.Errorf("%s: a secret %s", m.title(), readable)
		}
	}
	for word := range m.Endpoints {
		if !slices.Contains(endpointWords, word) {
			return fmt.Errorf("%s: unknown endpoint %.32q; known: %s", m.title(), word, strings.Join(endpointWords, ", "))
		}
	}
	return nil
}

// options resolves placeholders and files. Nothing remote is asked.
func (m *Microsoft) options() (o microsoft.Options, err error) {
	err = m.check()
	if err != nil {
		return o, err
	}
	o.Name = m.name()
	cloud := microsoft.Cloud{Name: m.Cloud}
	values := []struct {
		word string
		from string
		to   *string
	}{
		{"tenant", m.Tenant, &o.Tenant},
		{"client_id", m.ClientID, &o.ClientID},
		{"certificate", m.Certificate, &o.Credential.CertificateFile},
		{"certificate_password", m.CertificatePassword, &o.Credential.CertificatePassword},
		{"managed_identity", m.ManagedIdentityID, &o.Credential.ManagedIdentityID},
		{"endpoint authority", m.Endpoints["authority"], &cloud.Authority},
		{"endpoint graph", m.Endpoints["graph"], &cloud.Graph},
		{"endpoint defender", m.Endpoints["defender"], &cloud.Defender},
		{"endpoint defender_audience", m.Endpoints["defender_audience"], &cloud.DefenderAudience},
		{"endpoint intune", m.Endpoints["intune"], &cloud.Intune},
	}
	if file, ok := fileOf(m.ClientSecret); ok {
		o.Credential.SecretFile = file
	} else {
		values = append(values, struct {
			word string
			from string
			to   *string
		}{"client_secret", m.ClientSecret, &o.Credential.Secret})
	}
	for _, v := range values {
		*v.to, err = resolveErr(v.from)
		if err != nil {
			return o, fmt.Errorf("%s: %w", v.word, err)
		}
	}
	o.Cloud = cloud
	o.Credential.ManagedIdentity, o.Credential.WorkloadIdentity = m.ManagedIdentity, m.WorkloadIdentity
	o.RootCAs, err = rootsOf(m.CAFile)
	return o, err
}

// fileOf returns the path of a placeholder that stands for a whole file.
func fileOf(placeholder string) (string, bool) {
	if !isPlaceholder(placeholder) {
		return "", false
	}
	path, ok := strings.CutPrefix(placeholder, "{file.")
	return strings.TrimSuffix(path, "}"), ok
}

// rootsOf reads authorities from a PEM file; nil, the system's, without one.
func rootsOf(file string) (*x509.CertPool, error) {
	file, err := resolveErr(file)
	if err != nil || file == "" {
		return nil, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("ca_file: %s holds no certificate", file)
	}
	return pool, nil
}

// pooledTenant is a connection to a tenant, with its tokens and budgets.
type pooledTenant struct {
	*microsoft.Tenant
	key string // in the pool
}

// Destruct ends the connection.
func (t *pooledTenant) Destruct() error {
	t.Close()
	return nil
}

func (a *App) provisionMicrosoft(caddy.Context) error {
	a.tenants = map[string]*pooledTenant{}
	for _, m := range a.Microsoft {
		name := m.name()
		if a.tenants[name] != nil {
			return fmt.Errorf("%s%s is defined twice", m.title(), inBrackets(m.Place))
		}
		t, err := a.connect(m)
		if err != nil {
			return fmt.Errorf("%s%s: %w", m.title(), inBrackets(m.Place), err)
		}
		a.tenants[name] = t
	}
	return nil
}

func (a *App) connect(m *Microsoft) (*pooledTenant, error) {
	o, err := m.options()
	if err != nil {
		return nil, err
	}
	var ca []byte
	if file := resolve(m.CAFile); file != "" {
		ca, err = os.ReadFile(file)
		if err != nil {
			return nil, err
		}
	}
	key, err := configKey("microsoft", o.Name, o.Tenant, o.ClientID, o.Credential, o.Cloud, ca)
	if err != nil {
		return nil, err
	}
	o.Logger = slog.New(zapslog.NewHandler(a.log.Named("microsoft").Core()))
	o.Observe = a.meters.observeTenant(o.Name)
	return pooled(a, key, func() (*pooledTenant, error) {
		t, err := microsoft.Connect(o)
		if err != nil {
			return nil, err
		}
		return &pooledTenant{Tenant: t, key: key}, nil
	})
}

// tenant finds the connection that a source reads. Without a name it is the only
// one there is.
func (a *App) tenant(name string) (*pooledTenant, error) {
	if name == "" && len(a.Microsoft) == 1 {
		name = a.Microsoft[0].name()
	}
	t := a.tenants[name]
	switch {
	case t != nil:
		return t, nil
	case len(a.Microsoft) == 0:
		return nil, errors.New("it needs a microsoft block with the tenant's credentials")
	case name == "":
		return nil, fmt.Errorf("there are several microsoft blocks; say which with: tenant NAME (%s)", strings.Join(sortedKeys(a.tenants), ", "))
	}
	return nil, fmt.Errorf("no microsoft block is called %q; known: %s", name, strings.Join(sortedKeys(a.tenants), ", "))
}
