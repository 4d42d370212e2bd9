package caddymodule

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// App is the Caddy app `compliance`: who may ask, what is known about devices
// and users, and what is required. Its JSON form is what the Caddyfile option
// `compliance` produces; unknown members are errors.
type App struct {
	// Issuers are the token issuers that may name users and devices.
	Issuers []*Issuer `json:"issuers,omitempty"`
	// ClientCertificate accepts device certificates on TLS connections.
	ClientCertificate *ClientCertificate `json:"client_certificate,omitempty"`
	// ForwardedCertificate accepts device certificates from a trusted proxy.
	ForwardedCertificate *ForwardedCertificate `json:"forwarded_certificate,omitempty"`

	// Microsoft are the credentials of tenants, for the sources that read them.
	Microsoft []*Microsoft `json:"microsoft,omitempty"`
	// SourcesRaw are the information points, guests of compliance.sources.
	SourcesRaw []json.RawMessage `json:"sources,omitempty" caddy:"namespace=compliance.sources inline_key=source"`

	// Cache bounds what is kept in memory.
	Cache *Cache `json:"cache,omitempty"`
	// Keys says where the root secret is kept. Default: Caddy's storage.
	Keys *Keys `json:"keys,omitempty"`
	// StateDir keeps revocations and snapshots. Default: the folder gatehouse
	// in Caddy's data directory.
	StateDir string `json:"state_dir,omitempty"`

	// StepUps are named ways to show a stronger sign-in.
	StepUps []policy.StepUpConfig `json:"step_ups,omitempty"`
	// Policies are named lists of requirements.
	Policies []policy.PolicyConfig `json:"policies,omitempty"`

	// Support is named on every page.
	Support *Support `json:"support,omitempty"`
	// PagesDir holds templates that replace the built-in pages.
	PagesDir string `json:"pages_dir,omitempty"`
	// Privacy governs the decision log and the admin API.
	Privacy *Privacy `json:"privacy,omitempty"`
	// DecisionLog is "refusals" (default) or "all".
	DecisionLog string `json:"decision_log,omitempty"`
	// OperatorToken authorises what loosens: release and accept. It is one
	// placeholder, {env.NAME} or {file./path}: the admin endpoint shows the
	// configuration as written. Without it these calls answer 403.
	OperatorToken string `json:"operator_token,omitempty"`

	// Place is where it was written, FILE:LINE, for messages.
	Place string `json:"place,omitempty"`

	sourceNames []string // while a Caddyfile is read

	runtime
}

// Issuer is one token issuer (OpenID provider).
type Issuer struct {
	// Name labels the issuer in policies, logs and metrics.
	Name string `json:"name"`
	// Entra selects the preset: both token issuers of one tenant, tid checked.
	Entra bool `json:"entra,omitempty"`
	// Tenant is the Entra tenant id, a GUID.
	Tenant string `json:"tenant,omitempty"`
	// URL is the issuer identifier. Keys come by discovery from it unless JWKS
	// or JWKSFile is set.
	URL string `json:"url,omitempty"`
	// JWKS is the URL of the key set.
	JWKS string `json:"jwks,omitempty"`
	// JWKSFile is the path of a key set, read again when it changes.
	JWKSFile string `json:"jwks_file,omitempty"`
	// Audience lists the accepted aud values. At least one is required.
	Audience []string `json:"audience,omitempty"`
	// Algorithms default to RS256, ES256 and EdDSA.
	Algorithms []string `json:"algorithms,omitempty"`
	// Types are the accepted `typ` values. Default: at+jwt, JWT and none.
	Types []string `json:"types,omitempty"`
	// DeviceClaim names the claim with the device id, DeviceKind its kind.
	DeviceClaim string `json:"device_claim,omitempty"`
	DeviceKind  string `json:"device_kind,omitempty"`
	// GroupsClaim defaults to "groups".
	GroupsClaim string `json:"groups_claim,omitempty"`
	// NameClaim lists the claims that may hold the user's name, the first one
	// present counts. Default: preferred_username, upn, unique_name.
	NameClaim []string `json:"name_claim,omitempty"`
	// Leeway for clocks; default 60 s, at most 300 s.
	Leeway caddy.Duration `json:"leeway,omitempty"`
	// KeysMaxStale is how long the last good keys serve while the issuer's key
	// endpoint fails; default 24 h.
	KeysMaxStale caddy.Duration `json:"keys_max_stale,omitempty"`

	// Place is where it was written, FILE:LINE, for messages.
	Place string `json:"place,omitempty"`
}

// ClientCertificate says which device certificates count and what they say.
type ClientCertificate struct {
	// TrustPool are PEM files with the issuing authorities. The system's roots
	// are never used.
	TrustPool []string `json:"trust_pool,omitempty"`
	// DeviceID are mappings, as words: kind, place in the certificate, prefix.
	DeviceID [][]string `json:"device_id,omitempty"`
	// UserID are mappings of the user's name, as words.
	UserID [][]string `json:"user_id,omitempty"`
	// IntuneTenant must equal the tenant extension of certificates of the shared
	// Intune MDM authority.
	IntuneTenant string `json:"intune_tenant,omitempty"`
	// CRL are URLs or files of revocation lists.
	CRL []string `json:"crl,omitempty"`
	// AllowAnyEKU accepts certificates without the clientAuth purpose.
	AllowAnyEKU bool `json:"allow_any_eku,omitempty"`

	// Place is where it was written, FILE:LINE, for messages.
	Place string `json:"place,omitempty"`
}

// ForwardedCertificate says which proxies may pass certificates on, and how.
type ForwardedCertificate struct {
	// Dialect is rfc9440, xfcc, nginx or alb.
	Dialect string `json:"dialect"`
	// From lists the proxies' addresses as CIDR. At least one; never everybody.
	From []string `json:"from,omitempty"`

	// Place is where it was written, FILE:LINE, for messages.
	Place string `json:"place,omitempty"`
}

// Cache bounds what is kept in memory.
type Cache struct {
	// Capacity is the most devices per source; default 1,000,000.
	Capacity int `json:"capacity,omitempty"`
	// Tokens is the most remembered tokens; default 100,000.
	Tokens int `json:"tokens,omitempty"`
}

// Keys says where the root secret is kept.
type Keys struct {
	// Dir is a directory, 0700. Empty: Caddy's storage.
	Dir string `json:"dir,omitempty"`
}

// Support is who helps a person who is blocked.
type Support struct {
	Name string `json:"name,omitempty"`
	URL  string `json:"url,omitempty"`
}

// Privacy governs personal data in the decision log and the admin API.
type Privacy struct {
	// Users is "clear" (default), "hash" or "omit".
	Users string `json:"users,omitempty"`
	// Devices is "clear" (default), "hash" or "omit".
	Devices string `json:"devices,omitempty"`
	// RetainDecisions is how long `decisions` remembers; default 24 h, 0 < d <= 30 d.
	RetainDecisions caddy.Duration `json:"retain_decisions,omitempty"`
}
