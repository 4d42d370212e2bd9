package msgraph

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Options configure a [Client].
type Options struct {
	// Name is the configured name of the tenant, for messages.
	Name string
	// Tenant is the tenant's id or one of its domains.
	Tenant string
	// ClientID is the application's id. Managed and workload identities bring
	// their own; the latter uses this one instead if it is set.
	ClientID string
	// Credential proves who we are.
	Credential CredentialOptions
	// Cloud says where the services are. Zero: the public cloud.
	Cloud Cloud
	// RootCAs verify the services. Nil: the system's.
	RootCAs *x509.CertPool
	// Transport replaces the client's own one in tests. The own one uses the
	// proxy of the environment and HTTP/2, bounds header and idle times, and
	// keeps no cookies.
	Transport http.RoundTripper
	// Logger receives what operators should read; nil: nothing is logged.
	Logger *slog.Logger
	// Observe is called after every HTTP call to a service, from several
	// goroutines; nil: not.
	Observe func(Call)
}

// CredentialOptions hold exactly one kind of credential.
type CredentialOptions struct {
	// Secret is the client secret itself.
	Secret string
	// SecretFile holds the client secret. It is read for every token request,
	// so a new content is used without a restart.
	SecretFile string
	// CertificateFile holds a certificate with its private key, as PEM or
	// PKCS#12. It is read for every token request too.
	CertificateFile string
	// CertificatePassword opens a PKCS#12 file. Empty: it has none.
	CertificatePassword string
	// ManagedIdentity asks the platform's own token service (Azure).
	ManagedIdentity bool
	// ManagedIdentityID is the client id of a user-assigned identity. Empty: the
	// one that the system assigned.
	ManagedIdentityID string
	// WorkloadIdentity exchanges a token of the cluster. The token's file comes
	// from AZURE_FEDERATED_TOKEN_FILE; client and tenant come from
	// AZURE_CLIENT_ID and AZURE_TENANT_ID where the options leave them empty.
	WorkloadIdentity bool
}

// Call is one finished HTTP call. All values are from closed sets.
type Call struct {
	Endpoint  Endpoint
	Status    string // 2xx, 3xx, 4xx, 5xx, or error if no answer came
	Throttled bool   // the service asked us to slow down
	Failure   string // name of the [Kind] of the failure; empty: it succeeded
	Took      time.Duration
}

var errOneCredential = errors.New("want exactly one of client secret, secret file, certificate file, managed identity, workload identity")

func (o Options) check() (Options, error) {
	fail := func(err error) (Options, error) { return o, fmt.Errorf("microsoft tenant %q: %w", o.Name, err) }
	k, kinds := o.Credential, 0
	for _, set := range []bool{k.Secret != "", k.SecretFile != "", k.CertificateFile != "", k.ManagedIdentity, k.WorkloadIdentity} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return fail(errOneCredential)
	case k.CertificatePassword != "" && k.CertificateFile == "":
		return fail(errors.New("a certificate password without a certificate file"))
	case k.ManagedIdentityID != "" && !k.ManagedIdentity:
		return fail(errors.New("a managed identity id without managed identity"))
	}
	remote := k.Secret != "" || k.SecretFile != "" || k.CertificateFile != ""
	switch {
	case remote && o.ClientID == "":
		return fail(errors.New("client id is missing"))
	case o.Tenant == "" && remote:
		return fail(errors.New("tenant is missing"))
	case o.Tenant != "" && !validTenant(o.Tenant):
		return fail(fmt.Errorf("tenant %q is neither an id nor a domain", o.Tenant))
	case remote && isShared(o.Tenant):
		return fail(fmt.Errorf("tenant %q is shared by all: name your own", o.Tenant))
	}
	cloud, err := o.Cloud.complete()
	if err != nil {
		return fail(err)
	}
	o.Cloud = cloud
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Observe == nil {
		o.Observe = func(Call) {}
	}
	return o, nil
}

// validTenant allows what can be part of the token endpoint's path.
func validTenant(s string) bool {
	if len(s) > 255 || strings.Trim(s, ".") != s {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' {
			return false
		}
	}
	return true
}

func isShared(tenant string) bool {
	switch strings.ToLower(tenant) {
	case "common", "organizations", "consumers", "adfs":
		return true
	}
	return false
}

// observe reports one call and how it failed, if it did.
func (c *Client) observe(ep Endpoint, status int, e *Error, start time.Time) {
	call := Call{Endpoint: ep, Status: statusClass(status), Took: time.Since(start)}
	if e != nil {
		call.Throttled, call.Failure = e.Kind == KindThrottled, e.Kind.String()
	}
	c.o.Observe(call)
}
