package httpjson

import (
	"errors"
	"strconv"
	"strings"
)

// maxPointer bounds the length of a pointer in bytes.
const maxPointer = 1024

// pointer is a JSON pointer (RFC 6901) as its reference tokens. Nil points to
// the whole document.
type pointer []string

func parsePointer(s string) (pointer, error) {
	switch {
	case s == "":
		return nil, nil
	case s[0] != '/':
		return nil, errors.New("JSON pointer does not begin with /")
	case len(s) > maxPointer:
		return nil, errors.New("JSON pointer is too long")
	}
	p := strings.Split(s[1:], "/")
	for i, token := range p {
		for rest := token; ; {
			_, after, ok := strings.Cut(rest, "~")
			if !ok {
				break
			}
			if after == "" || after[0] != '0' && after[0] != '1' {
				return nil, errors.New("JSON pointer has a ~ that is neither ~0 nor ~1")
			}
			rest = after[1:]
		}
		p[i] = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
	}
	if len(p) > maxDepth {
		return nil, errors.New("JSON pointer is deeper than an answer may be")
	}
	return p, nil
}

// find returns what p points to in a decoded document.
func (p pointer) find(doc any) (any, bool) {
	for _, token := range p {
		switch v := doc.(type) {
		case map[string]any:
			member, ok := v[token]
			if !ok {
				return nil, false
			}
			doc = member
		case []any:
			i, ok := element(token)
			if !ok || i >= len(v) {
				return nil, false
			}
			doc = v[i]
		default:
			return nil, false
		}
	}
	return doc, true
}

// element reads the index of a list element (RFC 6901 section 4): no sign and
// no leading zero.
func element(token string) (int, bool) {
	if token == "" || len(token) > 9 || token[0] == '0' && len(token) > 1 {
		return 0, false
	}
	for i := range len(token) {
		if token[i] < '0' || token[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(token)
	return n, err == nil
}

// String returns the pointer as it is written.
func (p pointer) String() string {
	var b strings.Builder
	for _, token := range p {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1"))
	}
	if b.Len() == 0 {
		return "the top"
	}
	return b.String()
}
