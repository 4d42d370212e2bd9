package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

var (
	errUnknownMember = errors.New("is not a member of this record")
	errTwice         = errors.New("is there twice")
	errRecord        = errors.New("record could not be read: internal error")
)

// reader reads the elements of a batch.
type reader struct {
	now time.Time
	// shape is the field that each member of the last device was: the next one
	// most likely has the same members in the same order.
	shape [maxShape]uint8
}

const maxShape = 64

// record reads one element. The syntax of an element that reads well has been
// checked on the way. For any other it is checked now, up to the end: a broken
// document is no bad record.
func (r *reader) record(text string, at *record, keys []decision.Key, to *result) {
	if at.users {
		to.err = guard(func() (err error) {
			to.user, to.supplies, to.odd, err = decodeUser(text)
			return err
		})
	} else {
		to.verdict.Keys = keys
		to.err = guard(func() (err error) {
			to.supplies, to.odd, err = r.device(text, &to.verdict.Device)
			return err
		})
	}
	if to.err == nil || text[0] != '{' && text[0] != '[' { // others were checked to find their end
		return
	}
	end, err := scanValue(text, 0, 0)
	if err == nil && end == len(text) && !errors.Is(to.err, errBroken) {
		return
	}
	se, ok := errors.AsType[*syntaxError](err)
	if !ok {
		se = &syntaxError{end, "broken value"}
	}
	to.syntax = fmt.Errorf("%ss: byte %d: %w", listOf(at.users), at.at+int64(se.at), se)
}

// guard keeps a fault of ours in one record from ending the reading.
func guard(read func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errRecord
		}
	}()
	return read()
}

// field returns the place of a name among the fields. nth is the member's place
// in the record.
func (r *reader) field(name string, nth int) (i int, ok bool) {
	if nth < maxShape {
		if i = int(r.shape[nth]); fields[i].name == name {
			return i, true
		}
	}
	if i, ok = fieldIndex[name]; ok && nth < maxShape {
		r.shape[nth] = uint8(i)
	}
	return i, ok
}

// device reads one element of "devices". encoding/json would take a
// member in any case and the last of two; here both are errors, because a
// second "compliance" is a mistake at best.
func (r *reader) device(raw string, d *decision.Device) (supplies decision.FactSet, odd oddities, err error) {
	var seen uint64 // bit i: fields[i]; then the structured members
	once := func(bit int) error {
		if seen&(1<<bit) != 0 {
			return errTwice
		}
		seen |= 1 << bit
		return nil
	}
	structured := len(fields)
	nth := -1
	err = members(value(raw), func(name string, val value) error {
		nth++
		if i, ok := r.field(name, nth); ok && !strings.HasPrefix(name, "owner_") {
			f := &fields[i]
			if err := once(i); err != nil {
				return err
			}
			s, err := val.text(f.boolean)
			if err != nil {
				return err
			}
			supplies |= f.supplies
			return odd.note(uint8(i), f.set(d, strings.TrimSpace(s), r.now))
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
			return odd.note(labelSettings, decodeSettings(val, d))
		}
		return errUnknownMember
	})
	if err != nil {
		return 0, 0, err
	}
	d.Unreadable = odd.facts()
	return supplies, odd, fits(d)
}

// decodeIDs reads {"entra": "...", "KIND": "..."}; the first is the source's own.
func decodeIDs(v value, d *decision.Device) error {
	if v.null() {
		return nil
	}
	var buf [maxKinds]string
	seen := buf[:0]
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
// beyond decision.MaxSettings are checked and dropped: [errUnlisted].
func decodeSettings(v value, d *decision.Device) error {
	if v.null() {
		return nil
	}
	dropped := false
	err := elements(v, func(i int, el value) error {
		st, err := decodeSetting(el)
		switch {
		case err != nil:
			return fmt.Errorf("setting %d: %w", i+1, err)
		case st.Name == "":
			return fmt.Errorf("setting %d has no name", i+1)
		case len(d.Settings) < decision.MaxSettings:
			d.Settings = append(d.Settings, st)
		default:
			dropped = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return unlistedUnless(!dropped)
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

// userTri reads a yes or no about a user; anything else is errUnlisted.
func (v value) userTri(to *decision.Tri) error {
	s, err := v.text(true)
	if err == nil {
		*to, err = parseTri(strings.TrimSpace(s))
	}
	if err != nil {
		return errUnlisted
	}
	return nil
}

// unquote reads a JSON string. Bytes that are not UTF-8 become U+FFFD, which no
// id may contain.
func unquote(v value) string {
	if skipOrdinary(v, 1) == len(v)-1 {
		return string(v[1 : len(v)-1])
	}
	var s string
	if json.Unmarshal([]byte(v), &s) != nil {
		return "\ufffd"
	}
	return s
}

// errBroken stands for a syntax error, which scanValue describes better.
var errBroken = errors.New("invalid JSON")

// members calls f for each member of an object, in order, and names the member
// in its error. Names are compared as they are, case and all. It returns nil
// only if the object is well formed and nothing follows it.
func members(b value, f func(name string, v value) error) error {
	if b[0] != '{' {
		return errors.New("is not an object")
	}
	i := skipSpace(b, 1)
	if i < len(b) && b[i] == '}' {
		return closed(b, i)
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return errBroken
		}
		end, err := scanString(b, i)
		if err != nil {
			return errBroken
		}
		name := unquote(b[i:end])
		if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
			return errBroken
		}
		i = skipSpace(b, i+1)
		if end, err = scanValue(b, i, 1); err != nil {
			return errBroken
		}
		if err := f(name, b[i:end]); err != nil {
			return fmt.Errorf("%s: %w", excerpt(name), err)
		}
		switch i = skipSpace(b, end); {
		case i < len(b) && b[i] == '}':
			return closed(b, i)
		case i >= len(b) || b[i] != ',':
			return errBroken
		}
		i = skipSpace(b, i+1)
	}
}

// elements calls f for each element of a list. It returns nil only if the list
// is well formed and nothing follows it.
func elements(b value, f func(i int, v value) error) error {
	if b[0] != '[' {
		return errors.New("is not a list")
	}
	i := skipSpace(b, 1)
	if i < len(b) && b[i] == ']' {
		return closed(b, i)
	}
	for n := 0; ; n++ {
		end, err := scanValue(b, i, 1)
		if err != nil {
			return errBroken
		}
		if err := f(n, b[i:end]); err != nil {
			return err
		}
		switch i = skipSpace(b, end); {
		case i < len(b) && b[i] == ']':
			return closed(b, i)
		case i >= len(b) || b[i] != ',':
			return errBroken
		}
		i = skipSpace(b, i+1)
	}
}

// closed checks that b ends with the bracket at i.
func closed(b value, i int) error {
	if i != len(b)-1 {
		return errBroken
	}
	return nil
}
