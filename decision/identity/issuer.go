package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Defaults and bounds of IssuerOptions.
const (
	DefaultLeeway      = 60 * time.Second
	MaxLeeway          = 300 * time.Second
	DefaultMaxLifetime = 29 * time.Hour // Entra tokens with continuous access evaluation live up to 28 h
	DefaultMaxStale    = 24 * time.Hour

	issuerMaxLifetime = 31 * 24 * time.Hour
	issuerMaxStale    = 7 * 24 * time.Hour
)

// IssuerOptions configure one issuer of tokens. The zero value of every option
// is safe; Name and Audiences must be set, and URL or Entra.
type IssuerOptions struct {
	// Name is the configured name: at most 64 characters, unique.
	Name string
	// URL is the issuer identifier, compared with iss byte by byte. Keys are
	// found by discovery from it unless JWKSURL or JWKSFile is set.
	URL string

	// Entra accepts both token versions of one Microsoft Entra tenant, whose
	// iss are {STSURL}/{tenant}/ and {LoginURL}/{tenant}/v2.0, checks tid, and
	// reads Entra's claims. URL must be empty.
	Entra bool
	// Tenant is the tenant's GUID. "common" and its like are refused.
	Tenant string
	// Cloud is public (default), us_gov, us_gov_dod or china.
	Cloud string
	// LoginURL and STSURL replace the cloud's hosts, without a trailing slash.
	LoginURL, STSURL string

	// JWKSURL is the key set's address: https, or http on loopback.
	JWKSURL string
	// JWKSFile is a file with the key set, looked at every second.
	JWKSFile string

	// Audiences are the accepted values of aud; one must match exactly. At
	// Entra a URI also matches with or without a final slash.
	Audiences []string
	// Algorithms are the accepted values of alg: RS, PS and ES with 256, 384
	// or 512, and EdDSA. Default RS256, ES256, EdDSA.
	Algorithms []string
	// Types are the accepted values of typ in any case, with or without
	// "application/"; "" accepts a token without one. Default at+jwt, JWT and
	// "". Types of other purposes (logout+jwt and so on) are errors.
	Types []string

	// DeviceClaim names the claim with the device's id, DeviceKind its kind
	// (decision.KindEntra and others). A token without the claim names no device.
	DeviceClaim, DeviceKind string
	// GroupsClaim names the claim with the user's groups. Default "groups".
	GroupsClaim string
	// NameClaims are tried in turn for the user's name. Default
	// preferred_username, upn, unique_name.
	NameClaims []string

	Leeway      time.Duration // for exp, nbf and iat; default 60 s, at most 300 s
	MaxLifetime time.Duration // of a token, exp less iat; default 29 h
	MaxStale    time.Duration // how long the last good key set serves while fetching fails; default 24 h

	// Client fetches keys. Default: 5 s, no redirect to another host. A client
	// given without a timeout or redirect rule gets these.
	Client *http.Client
}

// issuer is a checked IssuerOptions.
type issuer struct {
	name        string
	urls        []string // values of iss
	entra       bool
	tenant      string
	algorithms  []string
	types       []string // lower case, without application/
	deviceClaim string
	deviceKind  string
	groupsClaim string
	nameClaims  []string
	used        map[string]string // fold of every claim we read, to its spelling
	leeway      time.Duration
	maxLifetime time.Duration
	validators  map[string]*jwt.Validator // by iss
	keys        *jwksStore
}

// issuerForeignTypes are never access tokens (RFC 8417, OpenID Back-Channel
// Logout, RFC 9449, RFC 9701).
var issuerForeignTypes = []string{"logout+jwt", "secevent+jwt", "dpop+jwt", "token-introspection+jwt"}

var issuerNameClaims = []string{"preferred_username", "upn", "unique_name"}

func newIssuer(o *IssuerOptions, now func() time.Time) (*issuer, error) {
	is := &issuer{
		name: o.Name, entra: o.Entra,
		algorithms: o.Algorithms, deviceClaim: o.DeviceClaim, deviceKind: o.DeviceKind,
		groupsClaim: o.GroupsClaim, nameClaims: o.NameClaims,
		leeway: o.Leeway, maxLifetime: o.MaxLifetime,
	}
	if err := issuerCheckName(o.Name); err != nil {
		return nil, err
	}
	if o.JWKSURL != "" && o.JWKSFile != "" {
		return nil, errors.New("both a key set URL and a key set file")
	}
	keysURL, rules := o.JWKSURL, jwksRules{}
	var err error
	if o.Entra {
		keysURL, rules.issuers, err = is.entraPreset(o)
	} else {
		err = is.plain(o)
	}
	if err != nil {
		return nil, err
	}
	if keysURL != "" {
		if err := issuerCheckURL(keysURL); err != nil {
			return nil, fmt.Errorf("key set URL: %w", err)
		}
	}
	if err := is.checkRest(o); err != nil {
		return nil, err
	}
	maxStale := o.MaxStale
	if maxStale == 0 {
		maxStale = DefaultMaxStale
	}
	if maxStale < 0 || maxStale > issuerMaxStale {
		return nil, fmt.Errorf("max stale %s: not within 0 and %s", maxStale, issuerMaxStale)
	}
	audiences, err := issuerAudiences(o)
	if err != nil {
		return nil, err
	}
	is.validators = make(map[string]*jwt.Validator, len(is.urls))
	for _, u := range is.urls {
		is.validators[u] = jwt.NewValidator(jwt.WithIssuer(u), jwt.WithAudience(audiences...), jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(), jwt.WithLeeway(is.leeway), jwt.WithTimeFunc(now))
	}
	rules.algorithms = is.algorithms
	var origin jwksOrigin
	if o.JWKSFile != "" {
		origin = &jwksFile{path: o.JWKSFile}
	} else {
		from := &jwksHTTP{client: jwksClient(o.Client), url: keysURL}
		if keysURL == "" {
			from.issuer = o.URL
		}
		origin = from
	}
	is.keys = newJWKSStore(origin, rules, maxStale, now)
	return is, nil
}

func issuerCheckName(name string) error {
	if name == "" || len(name) > 64 || name == decision.IssuerCertificate {
		return errors.New("name: empty, longer than 64 bytes, or the reserved word " + decision.IssuerCertificate)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= 0x20 || r >= 0x7f || r == '"' || r == '\\' }) {
		return errors.New("name: not printable ASCII without spaces and quotes")
	}
	return nil
}

// plain checks what only an issuer without a preset has.
func (is *issuer) plain(o *IssuerOptions) error {
	if o.Tenant != "" || o.Cloud != "" || o.LoginURL != "" || o.STSURL != "" {
		return errors.New("tenant, cloud and hosts are for Entra")
	}
	if err := issuerCheckURL(o.URL); err != nil {
		return fmt.Errorf("URL: %w", err)
	}
	if strings.ContainsAny(o.URL, "|{}?") { // | separates iss and sub in User.ID; braces mark a template
		return errors.New("URL: has a query or one of | { }")
	}
	is.urls = []string{o.URL}
	return nil
}

func (is *issuer) checkRest(o *IssuerOptions) error {
	if len(is.algorithms) == 0 {
		is.algorithms = joseDefaultAlgorithms
	}
	for _, name := range is.algorithms {
		if _, ok := joseAlgorithms[name]; !ok {
			return fmt.Errorf("algorithm %.20q: unknown, or not asymmetric", name)
		}
	}
	types := o.Types
	if len(types) == 0 {
		types = []string{"at+jwt", "jwt", ""}
	}
	for _, typ := range types {
		typ = issuerType(typ)
		if slices.Contains(issuerForeignTypes, typ) {
			return fmt.Errorf("type %s: never an access token", typ)
		}
		is.types = append(is.types, typ)
	}
	if is.leeway == 0 {
		is.leeway = DefaultLeeway
	}
	if is.leeway < 0 || is.leeway > MaxLeeway {
		return fmt.Errorf("leeway %s: not within 0 and %s", is.leeway, MaxLeeway)
	}
	if is.maxLifetime == 0 {
		is.maxLifetime = DefaultMaxLifetime
	}
	if is.maxLifetime < 0 || is.maxLifetime > issuerMaxLifetime {
		return fmt.Errorf("max lifetime %s: not within 0 and %s", is.maxLifetime, issuerMaxLifetime)
	}
	if (is.deviceClaim == "") != (is.deviceKind == "") {
		return errors.New("device claim: claim and kind go together")
	}
	if is.groupsClaim == "" {
		is.groupsClaim = "groups"
	}
	if len(is.nameClaims) == 0 {
		is.nameClaims = issuerNameClaims
	}
	return is.use()
}

// use collects the claims that we read. An operator's claim may not be one of
// those with a meaning of their own, nor look like another one.
func (is *issuer) use() error {
	is.used = make(map[string]string, len(claimNames)+4)
	for fold, name := range claimNames {
		is.used[fold] = name
	}
	extra := append([]string{is.groupsClaim}, is.nameClaims...)
	if is.deviceClaim != "" {
		extra = append(extra, is.deviceClaim)
	}
	for _, name := range extra {
		if name == "" || len(name) > 128 {
			return errors.New("claim name: empty or longer than 128 bytes")
		}
		fold := joseFold(name)
		if slices.Contains(claimReserved, fold) {
			return fmt.Errorf("claim %s: has a meaning of its own", name)
		}
		is.used[fold] = name
	}
	for _, name := range extra {
		if is.used[joseFold(name)] != name {
			return fmt.Errorf("claim %s: configured in two spellings", name)
		}
	}
	return nil
}

// issuerAudiences checks the audiences. An empty list would switch off
// golang-jwt's check.
func issuerAudiences(o *IssuerOptions) ([]string, error) {
	if len(o.Audiences) == 0 {
		return nil, errors.New("audience: none given; a token for any other service would pass")
	}
	var all []string
	for _, a := range o.Audiences {
		if !claimPrintable(a) || a == "" {
			return nil, errors.New("audience: empty or not printable")
		}
		all = append(all, a)
		if u, err := url.Parse(a); o.Entra && err == nil && u.Scheme != "" {
			// Entra v1 sends the application id URI with a final slash or without.
			if bare := strings.TrimSuffix(a, "/"); bare != a {
				all = append(all, bare)
			} else {
				all = append(all, a+"/")
			}
		}
	}
	return all, nil
}

// issuerType normalises typ (RFC 7515 section 4.1.9).
func issuerType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// admits checks what the header says. The reason is empty if it may pass.
func (is *issuer) admits(h *joseHeader) (reason string) {
	if !slices.Contains(is.algorithms, h.alg) {
		return ReasonAlgorithm
	}
	typ := issuerType(h.typ)
	if h.hasTyp && typ == "" || !slices.Contains(is.types, typ) {
		return ReasonType
	}
	return ""
}
