package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// ambiguousPath reports whether a backend might read the path differently from
// Caddy: dot segments, encoded slashes and backslashes, doubled slashes, path
// parameters, control characters (security invariants B4 to B10). It looks at
// the path as the client spelled it.
func ambiguousPath(escaped string) bool {
	if escaped == "" || escaped == "*" {
		return false
	}
	if escaped[0] != '/' {
		return true
	}
	segment := 1 // where the current segment starts
	for i := 1; i <= len(escaped); i++ {
		if i == len(escaped) || escaped[i] == '/' {
			s := escaped[segment:i]
			if s == "" && i < len(escaped) || dotSegment(s) || oddEnd(s) {
				return true
			}
			segment = i + 1
			continue
		}
		switch c := escaped[i]; {
		case c == '\\' || c == ';' || c < 0x20 || c == 0x7f:
			return true
		case c == ':' && i+1 < len(escaped) && (escaped[i+1] == ':' || escaped[i+1] == '$'):
			return true // a stream of a Windows file
		case c == '%':
			if i+2 >= len(escaped) {
				return true
			}
			switch strings.ToLower(escaped[i+1 : i+3]) {
			case "2f", "5c", "25", "3b", "00":
				return true
			}
			if hi := escaped[i+1]; hi == '0' || hi == '1' || strings.EqualFold(escaped[i+1:i+3], "7f") {
				return true
			}
		}
	}
	return oddText(escaped)
}

// oddEnd reports whether a segment ends in a dot or a space, which Windows
// servers drop.
func oddEnd(s string) bool {
	return strings.HasSuffix(s, ".") || strings.HasSuffix(s, " ") || strings.HasSuffix(s, "%20") ||
		strings.HasSuffix(s, "%2e") || strings.HasSuffix(s, "%2E")
}

// oddText reports whether a path decodes to something that is not UTF-8, such as
// an overlong slash, or holds a wide form of a dot, slash or backslash.
func oddText(escaped string) bool {
	if strings.IndexByte(escaped, '%') < 0 && utf8.ValidString(escaped) && !strings.ContainsAny(escaped, wideForms) {
		return false
	}
	decoded, err := url.PathUnescape(escaped)
	return err != nil || !utf8.ValidString(decoded) || strings.ContainsAny(decoded, wideForms)
}

// wideForms are characters that some servers fold to '.', '/' or '\\'.
const wideForms = "\uff0e\uff0f\uff3c\u2024\u2044\u2215\u29f5\u2216"

// dotSegment reports whether s is "." or "..", also when encoded. A name such as
// ".well-known" is none.
func dotSegment(s string) bool {
	dots := 0
	for len(s) > 0 {
		switch {
		case s[0] == '.':
			s = s[1:]
		case len(s) >= 3 && s[0] == '%' && s[1] == '2' && s[2]|0x20 == 'e':
			s = s[3:]
		default:
			return false
		}
		dots++
	}
	return dots == 1 || dots == 2
}

// methods that may pass. WebDAV's are registered too; TRACE never passes.
var methods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true,
	http.MethodPatch: true, http.MethodDelete: true, http.MethodOptions: true,
	"ACL": true, "BASELINE-CONTROL": true, "BIND": true, "CHECKIN": true, "CHECKOUT": true, "COPY": true,
	"LABEL": true, "LINK": true, "LOCK": true, "MERGE": true, "MKACTIVITY": true, "MKCALENDAR": true,
	"MKCOL": true, "MKREDIRECTREF": true, "MKWORKSPACE": true, "MOVE": true, "ORDERPATCH": true,
	"PROPFIND": true, "PROPPATCH": true, "QUERY": true, "REBIND": true, "REPORT": true, "SEARCH": true, "UNBIND": true,
	"UNCHECKOUT": true, "UNLINK": true, "UNLOCK": true, "UPDATE": true, "UPDATEREDIRECTREF": true,
	"VERSION-CONTROL": true,
}

// methodAllowed reports whether a request's method may be proxied at all. CONNECT
// only as an extended CONNECT that opens a websocket (RFC 8441).
func methodAllowed(r *http.Request) bool {
	if r.Method == http.MethodConnect {
		return isExtendedConnect(r)
	}
	return methods[r.Method]
}

// isExtendedConnect recognises the websocket form: HTTP/2 shows the protocol as a
// pseudo-header, HTTP/3 as the request's protocol.
func isExtendedConnect(r *http.Request) bool {
	if r.Method != http.MethodConnect {
		return false
	}
	if protocol := r.Header[":protocol"]; r.ProtoMajor == 2 && len(protocol) == 1 {
		return protocol[0] == "websocket"
	}
	return r.ProtoMajor == 3 && r.Proto == "websocket"
}

// isWebSocket reports whether the request asks to become a websocket.
func isWebSocket(r *http.Request) bool {
	if isExtendedConnect(r) {
		return true
	}
	return len(r.Header["Upgrade"]) > 0 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}
