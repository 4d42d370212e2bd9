package microsoft

import "github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"

// Tenant is a connection to one tenant. It is safe for concurrent use and shared
// by all sources that read the tenant. Close it after the last of them.
type Tenant = msgraph.Client

// Options configure a tenant.
type Options = msgraph.Options

// CredentialOptions hold exactly one kind of credential.
type CredentialOptions = msgraph.CredentialOptions

// Cloud names the services of one national cloud.
type Cloud = msgraph.Cloud

// Call is one finished HTTP call, for metrics.
type Call = msgraph.Call

// Scope is how much of one published limit is used.
type Scope = msgraph.Scope

// CircuitState is how the circuit breaker of one endpoint stands.
type CircuitState = msgraph.CircuitState

// TokenState is how the token for one service stands.
type TokenState = msgraph.TokenState

// TokenClaims are what an access token says about the application.
type TokenClaims = msgraph.TokenClaims

// Error is a call that failed. Its Kind says what that means.
type Error = msgraph.Error

// Resource is a service with tokens of its own, for [Tenant.Token].
type Resource = msgraph.Resource

// The resources.
const (
	Graph    = msgraph.Graph
	Defender = msgraph.Defender
	Intune   = msgraph.Intune
)

// Connect prepares a tenant without any remote work: a wrong secret shows at the
// first call. The error names the setting that is missing or wrong.
func Connect(o Options) (*Tenant, error) { return msgraph.New(o) }

// ParseCloud finds a cloud by its name.
func ParseCloud(name string) (Cloud, bool) { return msgraph.ParseCloud(name) }

// CloudNames lists the names that [ParseCloud] knows.
func CloudNames() []string { return msgraph.CloudNames() }

// EndpointNames lists the values of the endpoint label of a [Call], for metrics
// that start at 0.
func EndpointNames() []string { return msgraph.EndpointNames() }

// TokenFailures lists the values of TokenState.Failure, for metrics.
func TokenFailures() []string { return msgraph.TokenFailures() }
