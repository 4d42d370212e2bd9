package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf8"
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

// octets are what the scanner reads: a buffer, or one record.
type octets interface{ ~string | ~[]byte }

// scanValue returns the index after the JSON value that starts at b[i]. A
// number needs the byte after it to be known to have ended.
func scanValue[T octets](b T, i, depth int) (int, error) {
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

// skipComposite returns the index after the object or list that starts at b[i],
// or -1 if it does not end in b. It matches brackets and quotation marks only:
// where scanValue finds an end, that is the one, and where scanValue finds an
// error, it lies before.
func skipComposite(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for start := i; ; {
				n := bytes.IndexByte(b[i+1:], '"')
				if n < 0 {
					return -1
				}
				i += n + 1
				slashes := 0
				for i-slashes-1 > start && b[i-slashes-1] == '\\' {
					slashes++
				}
				if slashes%2 == 0 {
					break
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// scanComposite scans an object or a list.
func scanComposite[T octets](b T, i, depth int) (int, error) {
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

func scanString[T octets](b T, i int) (int, error) {
	for i++; i < len(b); i++ {
		if i = skipOrdinary(b, i); i == len(b) {
			break
		}
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

// ordinary tells the bytes that a string may contain and that stand for
// themselves. Bytes beyond ASCII may have to be replaced, see unquote.
var ordinary = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// skipOrdinary returns the first index from i on whose byte is not ordinary, or
// len(b). It looks at eight bytes at a time: a subtraction borrows from the
// high bit of a byte that is too small, and the lowest such byte is exact.
func skipOrdinary[T octets](b T, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		s := b[i : i+8]
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		quote, slash := w^ones*'"', w^ones*'\\'
		if bad := (w | (w - ones*0x20) | (quote - ones) | (slash - ones)) & high; bad != 0 {
			return i + bits.TrailingZeros64(bad)/8
		}
	}
	for i < len(b) && ordinary[b[i]] {
		i++
	}
	return i
}

// escape returns how many bytes follow the backslash at b[i].
func escape[T octets](b T, i int) (int, error) {
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

func scanLiteral[T octets](b T, i int, word string) (int, error) {
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

func scanNumber[T octets](b T, i int) (int, error) {
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
func skipSpace[T octets](b T, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}
