package emulator

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// GUID is an identifier of Microsoft's services. The zero value means none.
type GUID [16]byte

// ParseGUID reads the form 8-4-4-4-12 without braces, in either case.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, fmt.Errorf("guid %q: want 8-4-4-4-12 hexadecimal digits", s)
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	_, err := hex.Decode(g[:], []byte(digits))
	if err != nil {
		return GUID{}, fmt.Errorf("guid %q: %w", s, err)
	}
	return g, nil
}

// MustGUID is [ParseGUID] for constants; it panics on bad text.
func MustGUID(s string) GUID {
	g, err := ParseGUID(s)
	if err != nil {
		panic(err)
	}
	return g
}

func (g GUID) append(b []byte) []byte {
	b = hex.AppendEncode(b, g[:4])
	for _, part := range [][]byte{g[4:6], g[6:8], g[8:10], g[10:]} {
		b = append(b, '-')
		b = hex.AppendEncode(b, part)
	}
	return b
}

// String is the lower-case form 8-4-4-4-12.
func (g GUID) String() string { return string(g.append(make([]byte, 0, 36))) }

// MarshalText is [GUID.String] as bytes.
func (g GUID) MarshalText() ([]byte, error) { return g.append(nil), nil }

// UnmarshalText is [ParseGUID].
func (g *GUID) UnmarshalText(b []byte) (err error) {
	*g, err = ParseGUID(string(b))
	return err
}

// IsZero reports whether there is no identifier.
func (g GUID) IsZero() bool { return g == GUID{} }

// NullBool is a boolean that the service may answer as null. The zero value is Null.
type NullBool uint8

// The values of NullBool. Odd is a word that no document names.
const (
	Null NullBool = iota
	False
	True
	Odd
)

// NullBoolOf is True or False.
func NullBoolOf(v bool) NullBool {
	if v {
		return True
	}
	return False
}

// String is the JSON text: null, false or true, or "odd".
func (n NullBool) String() string {
	switch n {
	case Odd:
		return `"odd"`
	case True:
		return "true"
	case False:
		return "false"
	}
	return "null"
}

// MarshalJSON is [NullBool.String].
func (n NullBool) MarshalJSON() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalJSON reads what [NullBool.MarshalJSON] writes.
func (n *NullBool) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null":
		*n = Null
	case "false":
		*n = False
	case "true":
		*n = True
	case `"odd"`:
		*n = Odd
	default:
		return errors.New("boolean: want true, false, null or \"odd\"")
	}
	return nil
}
