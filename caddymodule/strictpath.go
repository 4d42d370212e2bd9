package caddymodule

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// ambiguousPath reports whether a backend might read the path differently from
// Caddy: dot segments, encoded slashes and backslashes, doubled slashes, path
// parameters, control characters. It looks at the path as the client spelled it.
func ambiguousPath(escaped string) bool {
	if escaped == "" || escaped == "*" {
		return false
	}
	if escaped[0] != '/' {
		return true
	}
	segment := 1 // where the current segment starts
	plain := true
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
		case c >= utf8.RuneSelf:
			plain = false
		case c == '\\' || c == ';' || c < 0x20 || c == 0x7f:
			return true
		case c == ':' && i+1 < len(escaped) && (escaped[i+1] == ':' || escaped[i+1] == '$'):
			return true // a stream of a Windows file
		case c == '%':
			plain = false
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
	return !plain && oddText(escaped)
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
