package identity

import (
	"encoding/base64"
	"strings"
)

// Limits of what is read before a signature is checked. They keep the work
// that a stranger can cause small and flat.
const (
	joseMaxBytes     = 16 << 10 // the most that TokenOptions.MaxBytes may allow
	joseDefaultBytes = 8 << 10
	joseMaxHeader    = 4 << 10 // decoded
	joseMaxDepth     = 32
	joseMaxMembers   = 256
	joseMaxKid       = 128
)

// joseToken is a compact JWS (RFC 7515 section 7.1) taken apart and not yet
// verified.
type joseToken struct {
	raw       string
	signed    string // what the signature covers: header and payload as sent
	signature string // still encoded
	payload   string // decoded, one valid JSON object
	header    joseHeader
}

// joseHeader holds the only header parameters that are ever used.
type joseHeader struct {
	alg, kid, typ  string
	hasKid, hasTyp bool
}

var joseStrict = base64.RawURLEncoding.Strict()

// joseCharset marks the characters of a compact JWS other than the dot. The
// base64 decoder skips line breaks, so the check must come before it
// (RFC 8725bis asks for it too).
var joseCharset = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		set[c] = true
	}
	return set
}()

// joseParse splits and decodes a compact JWS. The reason is empty if it is well
// formed, else one of malformed, too_large, encrypted and header.
func joseParse(raw string, maxBytes int) (*joseToken, string) {
	if len(raw) > maxBytes {
		return nil, ReasonTooLarge
	}
	var dots [4]int
	n := 0
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '.':
			if n == len(dots) {
				return nil, ReasonMalformed
			}
			dots[n] = i
			n++
		case !joseCharset[c]:
			return nil, ReasonMalformed
		}
	}
	if n == 4 { // a JWE (RFC 7516): nothing of it is decoded
		return nil, ReasonEncrypted
	}
	if n != 2 {
		return nil, ReasonMalformed
	}
	t := &joseToken{raw: raw, signed: raw[:dots[1]], signature: raw[dots[1]+1:]}
	head := raw[:dots[0]]
	if len(head) == 0 || len(t.signature) == 0 || base64.RawURLEncoding.DecodedLen(len(head)) > joseMaxHeader {
		return nil, ReasonMalformed
	}
	header, ok := joseSegment(head)
	if !ok {
		return nil, ReasonMalformed
	}
	var reason string
	if t.header, reason = joseReadHeader(header); reason != "" {
		return nil, reason
	}
	if t.payload, ok = joseSegment(raw[dots[0]+1 : dots[1]]); !ok {
		return nil, ReasonMalformed
	}
	return t, ""
}

// joseSegment decodes one segment that must hold a JSON object.
func joseSegment(segment string) (string, bool) {
	b, err := joseStrict.DecodeString(segment)
	if err != nil || !joseCheck(b) {
		return "", false
	}
	return string(b), true
}

// joseHeaderNames are the header parameters that mean something to us. A
// spelling that only looks like one of them is refused, because a laxer parser
// would take it for the real one.
var joseHeaderNames = joseFolded("alg", "kid", "typ", "crit", "b64", "jku", "x5u", "jwk", "enc", "zip")

// joseReadHeader reads the used parameters. It allocates for names only, since
// a stranger chooses what a header holds.
func joseReadHeader(s string) (h joseHeader, reason string) {
	var names []string
	ok := joseEach(s, func(name, value string) bool {
		for _, n := range names {
			if n == name {
				reason = ReasonMalformed
				return false
			}
		}
		names = append(names, name)
		if len(names) > joseMaxMembers/4 {
			reason = ReasonMalformed
			return false
		}
		if used, ok := joseHeaderNames[joseFold(name)]; ok && used != name {
			reason = ReasonMalformed
			return false
		}
		reason = h.set(name, value)
		return reason == ""
	})
	switch {
	case reason != "":
	case !ok:
		reason = ReasonMalformed
	case h.alg == "":
		reason = ReasonAlgorithm
	}
	return h, reason
}

func (h *joseHeader) set(name, value string) (reason string) {
	switch name {
	case "crit", "b64", "jku", "x5u", "jwk", "enc", "zip":
		// We understand no extension, and a key or the address of a key in a
		// token is the attacker's (RFC 8725 section 3.10).
		return ReasonHeader
	case "alg", "kid", "typ":
	default:
		return ""
	}
	s, ok := joseString(value)
	if !ok {
		return ReasonHeader
	}
	switch name {
	case "alg":
		h.alg = s
		if s == "" {
			return ReasonAlgorithm
		}
	case "kid":
		if !joseKid(s) {
			return ReasonHeader
		}
		h.kid, h.hasKid = s, true
	case "typ":
		h.typ, h.hasTyp = s, true
	}
	return ""
}

// joseKid reports whether s may be a key id: 1 to 128 printable ASCII bytes.
func joseKid(s string) bool {
	return s != "" && len(s) <= joseMaxKid && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// joseIssuer reads iss from a payload whose signature was not checked. It
// returns "" if there is no iss, more than one, or one that is not a string.
func joseIssuer(payload string) string {
	iss, n := "", 0
	joseEachIssuer(payload, func(name, value string) {
		n++
		if name == "iss" {
			iss = value
		}
	})
	if n != 1 {
		return ""
	}
	return iss
}

// joseEachIssuer calls f with every member that is iss or looks like it.
func joseEachIssuer(payload string, f func(name, value string)) {
	joseEach(payload, func(name, value string) bool {
		if joseFold(name) == "iss" {
			s, _ := joseString(value)
			f(name, s)
		}
		return true
	})
}
