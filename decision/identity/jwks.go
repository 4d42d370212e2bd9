package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
)

// Limits of a key set (RFC 7517).
const (
	jwksMaxBytes   = 512 << 10
	jwksMaxKeys    = 100
	jwksMaxMembers = 64 // of one key
	jwksMinRSA     = 2048
	jwksMaxRSA     = 8192
)

// jwk is one usable verification key. It is immutable but for retired.
type jwk struct {
	kid    string // "" without one
	kty    string
	crv    string
	alg    string // the only algorithm it may be used with; "" if the set does not say
	public crypto.PublicKey
	id     [sha256.Size]byte // RFC 7638 thumbprint
	// retired is set once the key has left its issuer's set. It ends every
	// cached token that the key had verified.
	retired atomic.Bool
}

func (k *jwk) suits(name string, a joseAlgorithm) bool {
	return k.kty == a.kty && k.crv == a.crv && (k.alg == "" || k.alg == name)
}

func (k *jwk) same(o *jwk) bool { return k.id == o.id && k.kid == o.kid && k.alg == o.alg }

// jwksSet is an immutable set of keys of one issuer.
type jwksSet struct {
	keys    []*jwk
	byKid   map[string]*jwk // nil value: the kid appears twice and is unusable
	ignored int             // keys that cannot be used
}

// pick chooses the key for a token. The reason is empty on success, else
// algorithm or key_unknown. A kid that appears twice is known and unusable.
func (s *jwksSet) pick(h *joseHeader, a joseAlgorithm) (key *jwk, known bool, reason string) {
	if h.hasKid {
		key, known = s.byKid[h.kid]
		switch {
		case key == nil:
			return nil, known, ReasonKeyUnknown
		case !key.suits(h.alg, a):
			return nil, true, ReasonAlgorithm
		}
		return key, true, ""
	}
	for _, k := range s.keys {
		if !k.suits(h.alg, a) {
			continue
		}
		if key != nil {
			return nil, true, ReasonKeyUnknown // two candidates: never guess
		}
		key = k
	}
	if key == nil {
		return nil, true, ReasonKeyUnknown
	}
	return key, true, ""
}

// jwksRules are what an issuer adds to the rules for its keys.
type jwksRules struct {
	algorithms []string // allowed for the issuer
	issuers    []string // accepted values of a key's own issuer member (Entra); nil: not looked at
}

var (
	errJWKSForm  = errors.New("key set: not a JSON object with a list of keys")
	errJWKSCount = errors.New("key set: too many keys")
	errJWKSEmpty = errors.New("key set: no usable key")
)

// jwksParse reads a key set. One bad key is ignored and counted; a set without
// any usable key is an error, because an issuer never means to publish that
// while a faulty front server does.
func jwksParse(body []byte, rules *jwksRules) (*jwksSet, error) {
	body = []byte(strings.TrimSpace(string(body)))
	if len(body) > jwksMaxBytes || !joseCheck(body) {
		return nil, errJWKSForm
	}
	list, seen := "", 0
	joseEach(string(body), func(name, value string) bool {
		if name == "keys" {
			list = value
			seen++
		}
		return true
	})
	if seen != 1 || list[0] != '[' {
		return nil, errJWKSForm
	}
	s := &jwksSet{byKid: make(map[string]*jwk)}
	n := 0
	joseElements(list, func(value string) bool {
		n++
		if n > jwksMaxKeys {
			return false
		}
		k, ok := jwksKey(value, rules)
		if !ok {
			s.ignored++
			return true
		}
		if k.kid == "" {
			s.keys = append(s.keys, k)
			return true
		}
		if twin, twice := s.byKid[k.kid]; twice {
			s.ignored++
			if twin != nil {
				s.ignored++
				s.keys = slices.DeleteFunc(s.keys, func(o *jwk) bool { return o == twin })
				s.byKid[k.kid] = nil
			}
			return true
		}
		s.byKid[k.kid] = k
		s.keys = append(s.keys, k)
		return true
	})
	if n > jwksMaxKeys {
		return nil, errJWKSCount
	}
	if len(s.keys) == 0 {
		return nil, errJWKSEmpty
	}
	return s, nil
}

// jwksPrivate are members of private or symmetric keys. A set that shows them
// has leaked the key.
var jwksPrivate = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// jwksKey reads one key. It looks at use, key_ops and alg, which neither
// go-jose nor golang-jwt enforces.
func jwksKey(text string, rules *jwksRules) (*jwk, bool) {
	if text[0] != '{' {
		return nil, false
	}
	m, ok := joseObject(text, jwksMaxMembers)
	if !ok {
		return nil, false
	}
	for _, name := range jwksPrivate {
		if _, found := m[name]; found {
			return nil, false
		}
	}
	k := &jwk{}
	for name, field := range map[string]*string{"kid": &k.kid, "kty": &k.kty, "alg": &k.alg, "crv": &k.crv} {
		if v, found := m[name]; found {
			if *field, ok = v.(string); !ok || *field == "" {
				return nil, false
			}
		}
	}
	if k.kid != "" && !joseKid(k.kid) || !jwksForSignatures(m) || !jwksIssuer(m, rules) {
		return nil, false
	}
	if k.kty == "RSA" {
		k.crv = ""
	}
	if !slices.ContainsFunc(rules.algorithms, func(name string) bool { return k.suits(name, joseAlgorithms[name]) }) {
		return nil, false
	}
	return k, k.load(m)
}

// jwksForSignatures checks use (RFC 7517 section 4.2) and key_ops (4.3).
func jwksForSignatures(m map[string]any) bool {
	if use, found := m["use"]; found && use != "sig" {
		return false
	}
	ops, found := m["key_ops"]
	if !found {
		return true
	}
	list, _ := ops.([]any)
	return slices.Contains(list, any("verify"))
}

// jwksIssuer checks the issuer member that Entra puts into its keys, so that a
// key of the consumer tenant never serves a company's.
func jwksIssuer(m map[string]any, rules *jwksRules) bool {
	v, found := m["issuer"]
	if !found || rules.issuers == nil {
		return true
	}
	s, ok := v.(string)
	return ok && slices.Contains(rules.issuers, s)
}

// load lets go-jose build the public key from the members that define it, and
// checks its strength. Everything else, such as x5c, is left out: a
// certificate that Go cannot parse must not cost us the key.
func (k *jwk) load(m map[string]any) bool {
	defining := make(map[string]string, 4)
	for _, name := range []string{"kty", "crv", "n", "e", "x", "y"} {
		v, found := m[name]
		if !found {
			continue
		}
		s, ok := v.(string)
		if !ok {
			return false
		}
		if name != "kty" && name != "crv" {
			if _, err := joseStrict.DecodeString(s); err != nil || strings.ContainsAny(s, "\r\n") {
				return false
			}
		}
		defining[name] = s
	}
	text, err := json.Marshal(defining)
	if err != nil {
		return false
	}
	var parsed jose.JSONWebKey
	if parsed.UnmarshalJSON(text) != nil || !parsed.Valid() {
		return false
	}
	switch p := parsed.Key.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < jwksMinRSA || bits > jwksMaxRSA || p.N.Bit(0) == 0 || p.E < 3 || p.E&1 == 0 || p.E > 1<<31-1 {
			return false
		}
		k.public = p
	case *ecdsa.PublicKey:
		k.public = p
	case ed25519.PublicKey:
		k.public = p
	default:
		return false
	}
	id, err := parsed.Thumbprint(crypto.SHA256)
	return err == nil && copy(k.id[:], id) == len(k.id)
}

// succeed puts s in the place of old: keys that stay keep their identity, so
// that cached tokens stay valid, and keys that left are retired.
func (s *jwksSet) succeed(old *jwksSet) {
	if old == nil {
		return
	}
	for _, o := range old.keys {
		stays := false
		for i, k := range s.keys {
			if k.same(o) && s.keys[i] != o {
				s.keys[i] = o
				if o.kid != "" {
					s.byKid[o.kid] = o
				}
				stays = true
				break
			}
		}
		if !stays {
			o.retired.Store(true)
		}
	}
}
