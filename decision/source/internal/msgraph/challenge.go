package msgraph

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

const maxClaims = 4096

// claimsChallenge returns the decoded claims of a 401 that asks for a token with
// more in it (continuous access evaluation); empty if there are none.
func claimsChallenge(h http.Header) string {
	for _, v := range h.Values("WWW-Authenticate") {
		p := authParams(v)
		if !strings.EqualFold(p["error"], "insufficient_claims") || len(p["claims"]) > maxClaims {
			continue
		}
		if claims, ok := decodeClaims(p["claims"]); ok {
			return claims
		}
	}
	return ""
}

// decodeClaims accepts both alphabets of base64, padded or not.
func decodeClaims(s string) (string, bool) {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return "", false
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(b, &object) != nil || len(object) == 0 {
		return "", false
	}
	return string(b), true
}

// authParams reads the parameters of a challenge (RFC 9110, section 11). Of
// several challenges in one line all parameters count; the first of a name wins.
func authParams(s string) map[string]string {
	params := map[string]string{}
	for s != "" && len(params) < 32 {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		if i := strings.LastIndexAny(strings.TrimRight(name, " \t"), ", \t"); i >= 0 {
			name = name[i+1:]
		}
		var value string
		value, s = authValue(strings.TrimLeft(rest, " \t"))
		name = strings.ToLower(strings.TrimSpace(name))
		if _, dup := params[name]; !dup && name != "" {
			params[name] = value
		}
	}
	return params
}

// authValue splits a token or a quoted string from what follows it.
func authValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			return s, ""
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
