package identity

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The grammar of JSON is checked by encoding/json (joseCheck). The reader below
// then walks text that is known to be valid, and adds what encoding/json lacks:
// duplicate members are an error, names are compared byte by byte, and limits
// hold.

// joseCheck reports whether b is one JSON object in valid UTF-8, nested no
// deeper than joseMaxDepth.
func joseCheck(b []byte) bool {
	if !utf8.Valid(b) || len(b) == 0 || b[0] != '{' {
		return false
	}
	// The depth comes first: json.Valid keeps a stack as deep as the text.
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > joseMaxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return json.Valid(b)
}

// joseObject decodes a checked object. Numbers are int64 where they are written
// as an integer that fits, else float64: the two number types of CEL. Objects
// are map[string]any and arrays []any. The result is false for a duplicate
// member at any depth, more than maxMembers members in all, a number out of
// range, or an escape that is no character.
func joseObject(s string, maxMembers int) (map[string]any, bool) {
	r := joseReader{s: s, left: maxMembers}
	v, ok := r.value()
	m, isObject := v.(map[string]any)
	return m, ok && isObject
}

// joseEach calls f with every member of a checked object, the value still as
// text, until f returns false. It does not look for duplicates. The result is
// false if a name cannot be decoded.
func joseEach(s string, f func(name, value string) bool) bool {
	r := joseReader{s: s}
	ok := true
	r.list(func() bool {
		var name string
		if name, ok = r.text(); !ok {
			return false
		}
		r.colon()
		start := r.i
		r.skip()
		return f(name, s[start:r.i])
	})
	return ok
}

// joseElements calls f with every element of a checked array, as text.
func joseElements(s string, f func(value string) bool) {
	r := joseReader{s: s}
	r.list(func() bool {
		start := r.i
		r.skip()
		return f(s[start:r.i])
	})
}

// joseString decodes one checked value that must be a string.
func joseString(value string) (string, bool) {
	if value == "" || value[0] != '"' {
		return "", false
	}
	r := joseReader{s: value}
	return r.text()
}

// joseReader walks checked JSON.
type joseReader struct {
	s    string
	i    int
	left int // members that may still come
}

func (r *joseReader) space() {
	for r.i < len(r.s) && (r.s[r.i] == ' ' || r.s[r.i] == '\n' || r.s[r.i] == '\t' || r.s[r.i] == '\r') {
		r.i++
	}
}

func (r *joseReader) colon() {
	r.space()
	r.i++ // ':'
	r.space()
}

// list walks an object or array that starts here: item reads one entry and
// says whether to go on.
func (r *joseReader) list(item func() bool) {
	r.space()
	r.i++ // '{' or '['
	for r.i < len(r.s) {
		switch r.space(); r.s[r.i] {
		case '}', ']':
			r.i++
			return
		case ',':
			r.i++
			r.space()
		}
		if !item() {
			return
		}
	}
}

// skip moves past one value.
func (r *joseReader) skip() {
	depth := 0
	for r.i < len(r.s) {
		switch c := r.s[r.i]; c {
		case '"':
			r.skipText()
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return // the end of a number or literal
			}
			if depth--; depth == 0 {
				r.i++
				return
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return
			}
		}
		r.i++
	}
}

// skipText moves past a string and reports whether it has escapes.
func (r *joseReader) skipText() (escaped bool) {
	for r.i++; r.i < len(r.s); r.i++ {
		switch r.s[r.i] {
		case '\\':
			escaped = true
			r.i++
		case '"':
			r.i++
			return escaped
		}
	}
	return escaped
}

// text reads a string. Without escapes it shares memory with the input.
func (r *joseReader) text() (string, bool) {
	start := r.i
	if !r.skipText() {
		return r.s[start+1 : r.i-1], true
	}
	var out string
	if err := json.Unmarshal([]byte(r.s[start:r.i]), &out); err != nil {
		return "", false
	}
	// encoding/json turns half of a surrogate pair into U+FFFD, so that two
	// different tokens would name one subject.
	return out, !strings.ContainsRune(out, utf8.RuneError)
}

func (r *joseReader) value() (any, bool) {
	switch r.space(); r.s[r.i] {
	case '{':
		return r.object()
	case '[':
		return r.array()
	case '"':
		return r.text()
	case 't':
		r.i += len("true")
		return true, true
	case 'f':
		r.i += len("false")
		return false, true
	case 'n':
		r.i += len("null")
		return nil, true
	}
	start := r.i
	r.skip()
	number := r.s[start:r.i]
	if !strings.ContainsAny(number, ".eE") {
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			return n, true
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	return f, err == nil
}

func (r *joseReader) object() (any, bool) {
	m := make(map[string]any)
	ok := true
	r.list(func() bool {
		var name string
		if name, ok = r.text(); !ok {
			return false
		}
		if _, twice := m[name]; twice || r.left <= 0 {
			ok = false
			return false
		}
		r.left--
		r.colon()
		m[name], ok = r.value()
		return ok
	})
	return m, ok
}

func (r *joseReader) array() (any, bool) {
	a := []any{}
	ok := true
	r.list(func() bool {
		var v any
		if v, ok = r.value(); ok {
			a = append(a, v)
		}
		return ok
	})
	return a, ok
}

// joseFold maps names that differ only in case, under Unicode simple folding,
// to one key: "SUB" and the long s in "\u017fub" become "sub". That is how
// encoding/json matches struct fields, and so what an app behind us may do.
func joseFold(name string) string {
	plain := true
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return name
	}
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		if 'A' <= least && least <= 'Z' {
			least += 'a' - 'A'
		}
		return least
	}, name)
}

// joseFolded indexes names by their fold.
func joseFolded(names ...string) map[string]string {
	m := make(map[string]string, len(names))
	for _, n := range names {
		m[joseFold(n)] = n
	}
	return m
}
