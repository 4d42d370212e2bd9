package intune

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
)

// text is a JSON string; whatever else Graph may send does not spoil the record. A
// member that is there twice, in whatever case, has no value: nobody knows which of
// the two is meant.
type text struct {
	s     string
	wrong bool // there was a value, of another type, or more than one
	given bool
}

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (t *text) UnmarshalJSON(b []byte) error {
	again := t.given
	*t = text{given: true}
	switch n := len(b); {
	case again:
		t.wrong = true
	case n < 2 || b[0] != '"':
		t.wrong = string(b) != "null"
	case bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b): // nearly all: nothing to decode
		t.s = string(b[1 : n-1])
	default:
		t.wrong = json.Unmarshal(b, &t.s) != nil
	}
	return nil
}

// flag is a JSON boolean or null.
type flag struct {
	is    decision.Tri
	wrong bool
	given bool
}

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (f *flag) UnmarshalJSON(b []byte) error {
	again := f.given
	*f = flag{given: true}
	switch string(b) {
	case "true":
		f.is = decision.Yes
	case "false":
		f.is = decision.No
	case "null":
	default:
		f.wrong = true
	}
	if again {
		*f = flag{wrong: true, given: true}
	}
	return nil
}

// days is a JSON number of whole days, or null, which is none.
type days struct {
	n     int
	wrong bool
}

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (d *days) UnmarshalJSON(b []byte) error {
	*d = days{}
	if string(b) != "null" {
		n, err := strconv.Atoi(string(b))
		*d = days{n: n, wrong: err != nil}
	}
	return nil
}

// loads says whether Intune owns the workload of compliance policies.
type loads struct {
	compliance decision.Tri
	wrong      bool
	given      bool
}

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (l *loads) UnmarshalJSON(b []byte) error {
	var v struct {
		Compliance flag `json:"compliancePolicy"`
	}
	err := json.Unmarshal(b, &v)
	if l.given || err != nil || v.Compliance.wrong {
		*l = loads{wrong: true, given: true}
		return nil
	}
	*l = loads{compliance: v.Compliance.is, given: true}
	return nil
}
