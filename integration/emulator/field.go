package emulator

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// row is one entity of a collection: a device and the number of its record, or a user.
type row struct {
	d *Device
	u *User
	n int
}

func (r row) managed() *Managed { return r.d.Managed[r.n] }
func (r row) machine() *Machine { return r.d.Machines[r.n] }

type kind uint8

const (
	kindText kind = iota
	kindBool
	kindDate
	kindGUID
	kindNumber
	kindRaw // not filterable
)

// value is a field's value for filters.
type value struct {
	s    string
	t    time.Time
	n    int64
	null bool
}

// field is one property of an entity.
type field struct {
	name   string
	kind   kind
	ops    string // operators and functions that $filter supports, space separated
	beta   bool   // only in the beta version
	single bool   // null in lists: only the single form with $select fills it
	json   func(b []byte, r row) []byte
	get    func(r row) value
}

// text is a string that is never null.
func text(name, ops string, get func(row) string) field {
	return field{
		name: name, kind: kindText, ops: ops,
		json: func(b []byte, r row) []byte { return appendString(b, get(r)) },
		get:  func(r row) value { return value{s: get(r)} },
	}
}

// orNull is text that is null when empty.
func orNull(name, ops string, get func(row) string) field {
	f := text(name, ops, get)
	f.json = func(b []byte, r row) []byte { return appendStringOrNull(b, get(r)) }
	f.get = func(r row) value { s := get(r); return value{s: s, null: s == ""} }
	return f
}

// flag is a boolean that is never null.
func flag(name, ops string, get func(row) bool) field {
	return tri(name, ops, func(r row) NullBool { return NullBoolOf(get(r)) })
}

// tri is a boolean that may be null.
func tri(name, ops string, get func(row) NullBool) field {
	return field{
		name: name, kind: kindBool, ops: ops,
		json: func(b []byte, r row) []byte { return append(b, get(r).String()...) },
		get:  func(r row) value { v := get(r); return value{s: v.String(), null: v == Null} },
	}
}

// date is never null: zero is written as year 1.
func date(name, ops string, get func(row) time.Time) field {
	return field{
		name: name, kind: kindDate, ops: ops,
		json: func(b []byte, r row) []byte { return appendDate(b, get(r)) },
		get:  func(r row) value { return value{t: get(r)} },
	}
}

// dateOrNull is null when zero.
func dateOrNull(name, ops string, get func(row) time.Time) field {
	f := date(name, ops, get)
	f.json = func(b []byte, r row) []byte {
		if t := get(r); !t.IsZero() {
			return appendDate(b, t)
		}
		return append(b, "null"...)
	}
	f.get = func(r row) value { t := get(r); return value{t: t, null: t.IsZero()} }
	return f
}

// guid is an identifier; zero is written in full, as Intune does.
func guid(name, ops string, get func(row) GUID) field {
	return field{
		name: name, kind: kindGUID, ops: ops,
		json: func(b []byte, r row) []byte { return append(get(r).append(append(b, '"')), '"') },
		get:  func(r row) value { return value{s: get(r).String()} },
	}
}

// number is an integer.
func number(name, ops string, get func(row) int) field {
	return field{
		name: name, kind: kindNumber, ops: ops,
		json: func(b []byte, r row) []byte { return strconv.AppendInt(b, int64(get(r)), 10) },
		get:  func(r row) value { return value{n: int64(get(r))} },
	}
}

// raw is a property that is not filterable and writes itself.
func raw(name string, write func(b []byte, r row) []byte) field {
	return field{name: name, kind: kindRaw, json: write}
}

// fixed is the same JSON text for every row.
func fixed(name, text string) field {
	return raw(name, func(b []byte, _ row) []byte { return append(b, text...) })
}

func inBeta(f field) field   { f.beta = true; return f }
func inSingle(f field) field { f.single = true; return f }

// allows reports whether $filter supports the operator or function on the field.
func (f *field) allows(op string) bool {
	for o := range strings.FieldsSeq(f.ops) {
		if o == op {
			return true
		}
	}
	return false
}

// appendString writes a JSON text; most have nothing to escape.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, _ := json.Marshal(s)
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendStringOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendString(b, s)
}

const (
	plainDate = `"2006-01-02T15:04:05Z"`
	longDate  = `"2006-01-02T15:04:05.0000000Z"`
	zonedDate = `"2006-01-02T15:04:05.0000000-07:00"`
)

var pacific = time.FixedZone("", -8*60*60)

// appendDate writes a date as the directory does: UTC, and 7 digits of a fraction.
func appendDate(b []byte, t time.Time) []byte {
	switch {
	case t.IsZero():
		return append(b, `"0001-01-01T00:00:00Z"`...)
	case t.Year() >= 9999:
		return append(b, `"9999-12-31T23:59:59Z"`...)
	case t.Nanosecond() != 0:
		return t.UTC().AppendFormat(b, longDate)
	}
	return t.UTC().AppendFormat(b, plainDate)
}

// appendOddDate writes it as Intune may: plain, with a fraction, or with an offset.
func appendOddDate(b []byte, t time.Time) []byte {
	if t.IsZero() || t.Year() >= 9999 {
		return appendDate(b, t)
	}
	switch t.Unix() % 4 {
	case 1:
		return t.UTC().AppendFormat(b, longDate)
	case 2:
		return t.In(pacific).AppendFormat(b, zonedDate)
	}
	return appendDate(b, t)
}

// oddDate is a date in one of Intune's three spellings.
func oddDate(name, ops string, get func(row) time.Time) field {
	f := date(name, ops, get)
	f.json = func(b []byte, r row) []byte { return appendOddDate(b, get(r)) }
	return f
}

// appendObject writes the fields of one row, comma separated, without braces.
func appendFields(b []byte, r row, fields []*field, list bool) []byte {
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), f.name...), '"', ':')
		if list && f.single {
			b = append(b, "null"...)
			continue
		}
		b = f.json(b, r)
	}
	return b
}
