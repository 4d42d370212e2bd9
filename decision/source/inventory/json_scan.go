package inventory

import (
	"errors"
	"fmt"
)

// A file of a million devices is most of a gigabyte of JSON, and encoding/json
// walks each record three times to hand it over. This scanner checks the syntax
// and finds the end of a record in one pass; a fuzz test holds it to the
// judgement of json.Valid.

// errShort says that a value does not end within the bytes at hand.
var errShort = errors.New("JSON value is incomplete")

// maxDepth bounds nesting; the format needs four levels.
const maxDepth = 16

// syntaxError is where bytes stop being JSON (RFC 8259).
type syntaxError struct {
	at   int
	what string
}

func (e *syntaxError) Error() string { return "invalid JSON: " + e.what }

// scanValue returns the index after the JSON value that starts at b[i]. A
// number needs the byte after it to be known to have ended.
func scanValue(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return i, errShort
	}
	switch c := b[i]; {
	case c == '"':
		return scanString(b, i)
	case c == '{' || c == '[':
		if depth == maxDepth {
			return i, &syntaxError{i, fmt.Sprintf("nested deeper than %d levels", maxDepth)}
		}
		return scanComposite(b, i, depth+1)
	case c == 't':
		return scanLiteral(b, i, "true")
	case c == 'f':
		return scanLiteral(b, i, "false")
	case c == 'n':
		return scanLiteral(b, i, "null")
	case c == '-' || '0' <= c && c <= '9':
		return scanNumber(b, i)
	}
	return i, &syntaxError{i, "no value"}
}

// scanComposite scans an object or a list.
func scanComposite(b []byte, i, depth int) (int, error) {
	object, end := b[i] == '{', b[i]+2 // '}' and ']' are two after '{' and '['
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == end {
		return i + 1, nil
	}
	for {
		var err error
		if object {
			if i < len(b) && b[i] != '"' {
				return i, &syntaxError{i, "no member name"}
			}
			if i, err = scanValue(b, i, depth); err != nil {
				return i, err
			}
			if i = skipSpace(b, i); i < len(b) && b[i] != ':' {
				return i, &syntaxError{i, "no colon"}
			}
			i = skipSpace(b, i+1)
		}
		if i, err = scanValue(b, i, depth); err != nil {
			return i, err
		}
		switch i = skipSpace(b, i); {
		case i >= len(b):
			return i, errShort
		case b[i] == end:
			return i + 1, nil
		case b[i] != ',':
			return i, &syntaxError{i, "no comma"}
		}
		i = skipSpace(b, i+1)
	}
}

func scanString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c < 0x20:
			return i, &syntaxError{i, "control character in a string"}
		case c == '\\':
			n, err := escape(b, i)
			if err != nil {
				return i, err
			}
			i += n
		}
	}
	return i, errShort
}

// escape returns how many bytes follow the backslash at b[i].
func escape(b []byte, i int) (int, error) {
	if i+1 >= len(b) {
		return 0, errShort
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1, nil
	case 'u':
		for j := i + 2; j < i+6; j++ {
			if j >= len(b) {
				return 0, errShort
			}
			if c := b[j] | 0x20; (c < '0' || c > '9' || b[j] < '0') && (c < 'a' || c > 'f') {
				return 0, &syntaxError{j, "no hexadecimal digit"}
			}
		}
		return 5, nil
	}
	return 0, &syntaxError{i, "unknown escape"}
}

func scanLiteral(b []byte, i int, word string) (int, error) {
	for j := range len(word) {
		if i+j >= len(b) {
			return i, errShort
		}
		if b[i+j] != word[j] {
			return i, &syntaxError{i, "no value"}
		}
	}
	return i + len(word), nil
}

func scanNumber(b []byte, i int) (int, error) {
	digits := func() bool {
		from := i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		return i > from
	}
	bad := func() (int, error) {
		if i >= len(b) {
			return i, errShort
		}
		return i, &syntaxError{i, "broken number"}
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++ // nothing but a point or an exponent may follow
	} else if !digits() {
		return bad()
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return bad()
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return bad()
		}
	}
	if i >= len(b) {
		return i, errShort
	}
	return i, nil
}

// skipSpace returns the first index from i on that is not JSON white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}
