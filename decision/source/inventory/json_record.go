package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
)

var (
	errUnknownMember = errors.New("is not a member of this record")
	errTwice         = errors.New("is there twice")
)

// decodeDevice reads one element of "devices". encoding/json would take a
// member in any case and the last of two; here both are errors, because a
// second "compliance" is a mistake at best.
func decodeDevice(raw string, now time.Time) (v decision.Verdict, supplies decision.FactSet, err error) {
	d := &v.Device
	var seen uint64 // bit i: fields[i]; then the structured members
	once := func(bit int) error {
		if seen&(1<<bit) != 0 {
			return errTwice
		}
		seen |= 1 << bit
		return nil
	}
	structured := len(fields)
	err = members(value(raw), func(name string, val value) error {
		if i, ok := fieldIndex[name]; ok && !strings.HasPrefix(name, "owner_") {
			f := &fields[i]
			if err := once(i); err != nil {
				return err
			}
			s, err := val.text(f.boolean)
			if err != nil {
				return err
			}
			supplies |= f.supplies
			return f.set(d, strings.TrimSpace(s), now)
		}
		switch name {
		case "ids":
			if err := once(structured); err != nil {
				return err
			}
			return decodeIDs(val, d)
		case "owner":
			supplies |= decision.Facts(decision.FactOwner)
			if err := once(structured + 1); err != nil {
				return err
			}
			return decodeOwner(val, d)
		case "settings":
			if err := once(structured + 2); err != nil {
				return err
			}
			return decodeSettings(val, d)
		}
		return errUnknownMember
	})
	if err != nil {
		return v, 0, err
	}
	return v, supplies, fits(d)
}

// decodeIDs reads {"entra": "...", "KIND": "..."}; the first is the source's own.
func decodeIDs(v value, d *decision.Device) error {
	if v.null() {
		return nil
	}
	d.Keys = make([]decision.Key, 0, 3)
	var seen []string
	return members(v, func(kind string, id value) error {
		if err := validKind(kind); err != nil {
			return err
		}
		for _, k := range seen {
			if k == kind {
				return errTwice
			}
		}
		if len(seen) == maxKinds {
			return fmt.Errorf("is one id more than %d", maxKinds)
		}
		seen = append(seen, kind)
		s, err := id.text(false)
		if err != nil {
			return err
		}
		return addKey(d, kind, strings.TrimSpace(s))
	})
}

// decodeOwner reads {"id": "...", "upn": "..."}.
func decodeOwner(v value, d *decision.Device) error {
	if v.null() {
		return nil
	}
	var seen [2]bool
	once := func(i int) bool { twice := seen[i]; seen[i] = true; return !twice }
	return members(v, func(name string, val value) error {
		switch {
		case name == "id" && once(0):
			return val.set(&d.OwnerID, userID)
		case name == "upn" && once(1):
			return val.set(&d.OwnerUPN, userName)
		case name == "id" || name == "upn":
			return errTwice
		}
		return errUnknownMember
	})
}

// decodeSettings reads [{"name": "...", "policy": "...", "state": "..."}]. Those
// beyond decision.MaxSettings are checked and dropped.
func decodeSettings(v value, d *decision.Device) error {
	if v.null() {
		return nil
	}
	return elements(v, func(i int, el value) error {
		st, err := decodeSetting(el)
		switch {
		case err != nil:
			return fmt.Errorf("setting %d: %w", i+1, err)
		case st.Name == "":
			return fmt.Errorf("setting %d has no name", i+1)
		case len(d.Settings) < decision.MaxSettings:
			d.Settings = append(d.Settings, st)
		}
		return nil
	})
}

func decodeSetting(v value) (st decision.Setting, err error) {
	var seen [3]bool
	shown := func(s string) (string, error) { return display(s), nil }
	err = members(v, func(name string, val value) error {
		to, n := &st.Name, 0
		switch name {
		case "name":
		case "policy":
			to, n = &st.Policy, 1
		case "state":
			to, n = &st.State, 2
		default:
			return errUnknownMember
		}
		if seen[n] {
			return errTwice
		}
		seen[n] = true
		return val.set(to, shown)
	})
	return st, err
}

// value is one JSON value without surrounding space, syntax already checked.
type value string

func (v value) null() bool { return v[0] == 'n' }

// text returns a string's content, "" for null and, where a field is boolean,
// yes or no for true and false.
func (v value) text(boolean bool) (string, error) {
	switch {
	case v[0] == '"':
		return unquote(v), nil
	case v[0] == 'n':
		return "", nil
	case v[0] == 't' && boolean:
		return "yes", nil
	case v[0] == 'f' && boolean:
		return "no", nil
	case boolean:
		return "", errors.New("is neither true, false, null nor a string")
	}
	return "", errors.New("is not a string")
}

// set reads a text, without the space around it, through parse.
func (v value) set(to *string, parse func(string) (string, error)) error {
	s, err := v.text(false)
	if err == nil {
		*to, err = parse(strings.TrimSpace(s))
	}
	return err
}

func (v value) setTri(to *decision.Tri) error {
	s, err := v.text(true)
	if err == nil {
		*to, err = parseTri(strings.TrimSpace(s))
	}
	return err
}

// unquote reads a JSON string. Bytes that are not UTF-8 become U+FFFD, which no
// id may contain.
func unquote(v value) string {
	in := v[1 : len(v)-1]
	for i := range len(in) {
		if in[i] == '\\' || in[i] >= utf8.RuneSelf {
			var s string
			if json.Unmarshal([]byte(v), &s) != nil {
				return "\ufffd"
			}
			return s
		}
	}
	return string(in)
}

// members calls f for each member of an object, in order, and names the member
// in its error. Names are compared as they are, case and all.
func members(b value, f func(name string, v value) error) error {
	if b[0] != '{' {
		return errors.New("is not an object")
	}
	for i := space(b, 1); b[i] != '}'; {
		end := valueEnd(b, i)
		name := unquote(b[i:end])
		i = space(b, space(b, end)+1) // over the colon
		end = valueEnd(b, i)
		if err := f(name, b[i:end]); err != nil {
			return fmt.Errorf("%s: %w", excerpt(name), err)
		}
		if i = space(b, end); b[i] == ',' {
			i = space(b, i+1)
		}
	}
	return nil
}

// elements calls f for each element of an array.
func elements(b value, f func(i int, v value) error) error {
	if b[0] != '[' {
		return errors.New("is not a list")
	}
	for i, n := space(b, 1), 0; b[i] != ']'; n++ {
		end := valueEnd(b, i)
		if err := f(n, b[i:end]); err != nil {
			return err
		}
		if i = space(b, end); b[i] == ',' {
			i = space(b, i+1)
		}
	}
	return nil
}

// space is skipSpace inside a record that is known to be well formed. It
// returns the first index from i on that is not JSON white space.
func space(b value, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r' {
		i++
	}
	return i
}

// valueEnd returns the index after the value that starts at i. The document is
// known to be well formed, so matching brackets and quotes is enough.
func valueEnd(b value, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of a number or literal before it
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}
