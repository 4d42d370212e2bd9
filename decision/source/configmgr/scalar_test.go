package configmgr

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestNumber(t *testing.T) {
	type want struct {
		value int64
		known bool
		why   string
	}
	for in, want := range map[string]want{
		`1`: {1, true, ""}, `"1"`: {1, true, ""}, `" 42 "`: {42, true, ""}, `2.0`: {2, true, ""}, `"3.0"`: {3, true, ""}, `-1`: {-1, true, ""},
		`true`: {1, true, ""}, `false`: {0, true, ""}, `16777301`: {16777301, true, ""}, `1e3`: {1000, true, ""},
		`9223372036854775807`: {9223372036854775807, true, ""},
		`null`:                {}, `""`: {}, `" "`: {},
		`"x"`: {why: wrongType}, `1.5`: {why: wrongType}, `{}`: {why: wrongType}, `[1]`: {why: wrongType}, `1e30`: {why: wrongType},
		`"NaN"`: {why: wrongType}, `"0x10"`: {why: wrongType},
	} {
		var got number
		err := json.Unmarshal([]byte(in), &got)
		if err != nil || got.value != want.value || got.known != want.known || got.why != want.why || !got.seen {
			t.Errorf("%s: %+v, %v, want %+v", in, got, err, want)
		}
	}
}

func TestFlag(t *testing.T) {
	type want struct {
		decision.Tri
		why string
	}
	yes, no, none := want{decision.Yes, ""}, want{decision.No, ""}, want{}
	odd, wrong := want{why: unknownValue}, want{why: wrongType}
	for in, want := range map[string]want{
		`true`: yes, `1`: yes, `"1"`: yes, `"True"`: yes, `"TRUE"`: yes,
		`false`: no, `0`: no, `"0"`: no, `"False"`: no,
		`null`: none, `""`: none, `2`: odd, `"yes"`: odd, `-1`: odd, `[]`: wrong, `{"a":true}`: wrong,
	} {
		f := flag{Tri: decision.Yes}
		if err := json.Unmarshal([]byte(in), &f); err != nil || f.Tri != want.Tri || f.why != want.why {
			t.Errorf("%s: %+v, %v, want %+v", in, f, err, want)
		}
	}
}

func TestText(t *testing.T) {
	long, _ := json.Marshal(string(make([]byte, maxText+1)))
	for in, want := range map[string]text{
		`"a"`: {s: "a"}, `" a "`: {s: "a"}, `12`: {s: "12"}, `null`: {}, `"null"`: {}, `""`: {},
		`{}`: {state: state{why: wrongType}}, `["a"]`: {state: state{why: wrongType}}, string(long): {state: state{why: badText}},
	} {
		got := text{s: "old"}
		if err := json.Unmarshal([]byte(in), &got); err != nil || got.s != want.s || got.why != want.why {
			t.Errorf("%.20s: %+v, %v, want %+v", in, got, err, want)
		}
	}
}

// TestTwice: which of two members of one name counts, readers disagree about.
func TestTwice(t *testing.T) {
	r, err := decode[resourceRow]([]byte(`{"ResourceID":1,"IsBlocked":true,"isblocked":false,"ClientCheckPass":2,"ClientCheckPass":1,` +
		`"DeviceOS":"a","DeviceOS":"a","LastDDR":null,"LastDDR":"2026-11-20T04:12:00Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.IsBlocked.Tri != decision.Unknown || r.ClientCheckPass.known || r.DeviceOS.s != "" || !r.LastDDR.IsZero() {
		t.Errorf("a property that is there twice has a value: %+v", r)
	}
	for name, why := range map[string]string{"flag": r.IsBlocked.why, "number": r.ClientCheckPass.why, "text": r.DeviceOS.why, "moment": r.LastDDR.why} {
		if why != wrongType {
			t.Errorf("%s: why %q, want %q", name, why, wrongType)
		}
	}
}

func TestMoment(t *testing.T) {
	at := time.Date(2026, 11, 20, 4, 12, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		`"2026-11-20T04:12:00Z"`:         at,
		`"2026-11-20T04:12:00"`:          at,
		`"2026-11-20 04:12:00"`:          at,
		`"2026-11-20T05:12:00+01:00"`:    at,
		`"2026-11-20T04:12:00.1234567Z"`: at.Add(123456700),
		`"20261120041200.000000+***"`:    at,
		`"20261120051200.000000+060"`:    at,
		`"20261119231200.000000-300"`:    at,
		`"0001-01-01T00:00:00Z"`:         {},
		`"9999-12-31T23:59:59Z"`:         {},
		`"1980-01-01T00:00:00Z"`:         {},
		`null`:                           {},
		`""`:                             {},
	} {
		m := moment{Time: time.Unix(0, 0)}
		if err := json.Unmarshal([]byte(in), &m); err != nil || !m.Equal(want) || m.why != "" {
			t.Errorf("%s: %s, %v, %q, want %s", in, m, err, m.why, want)
		}
	}
	for in, why := range map[string]string{
		`"yesterday"`: badDate, `20261120`: badDate, `"20261120041200.0000000000000000000"`: badDate, `"2026-13-01T00:00:00Z"`: badDate,
		`{}`: wrongType, `[]`: wrongType,
	} {
		m := moment{Time: time.Unix(0, 0)}
		if err := json.Unmarshal([]byte(in), &m); err != nil || !m.IsZero() || m.why != why {
			t.Errorf("%s: %s, %v, %q, want none because of %q", in, m, err, m.why, why)
		}
	}
}
