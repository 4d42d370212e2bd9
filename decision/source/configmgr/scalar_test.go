package configmgr

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestNumber(t *testing.T) {
	for in, want := range map[string]number{
		`1`: {1, true}, `"1"`: {1, true}, `" 42 "`: {42, true}, `2.0`: {2, true}, `"3.0"`: {3, true}, `-1`: {-1, true},
		`true`: {1, true}, `false`: {0, true}, `16777301`: {16777301, true}, `1e3`: {1000, true},
		`9223372036854775807`: {9223372036854775807, true},
		`null`:                {}, `""`: {}, `"x"`: {}, `1.5`: {}, `{}`: {}, `[1]`: {}, `1e30`: {}, `"NaN"`: {}, `"0x10"`: {},
	} {
		var got number
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", in, got, err, want)
		}
	}
}

func TestFlag(t *testing.T) {
	for in, want := range map[string]decision.Tri{
		`true`: decision.Yes, `1`: decision.Yes, `"1"`: decision.Yes, `"True"`: decision.Yes, `"TRUE"`: decision.Yes,
		`false`: decision.No, `0`: decision.No, `"0"`: decision.No, `"False"`: decision.No,
		`null`: decision.Unknown, `2`: decision.Unknown, `""`: decision.Unknown, `"yes"`: decision.Unknown, `[]`: decision.Unknown, `-1`: decision.Unknown,
	} {
		f := flag{decision.Yes}
		if err := json.Unmarshal([]byte(in), &f); err != nil || f.Tri != want {
			t.Errorf("%s: %s, %v, want %s", in, f.Tri, err, want)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]text{
		`"a"`: "a", `" a "`: "a", `12`: "12", `null`: "", `{}`: "", `["a"]`: "", `"null"`: "",
	} {
		got := text("old")
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	long, _ := json.Marshal(string(make([]byte, maxText+1)))
	got := text("old")
	if json.Unmarshal(long, &got) != nil || got != "" {
		t.Errorf("a text that is too long is %q", got)
	}
}

func TestMoment(t *testing.T) {
	at := time.Date(2026, 11, 20, 4, 12, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		`"2026-11-20T04:12:00Z"`:               at,
		`"2026-11-20T04:12:00"`:                at,
		`"2026-11-20 04:12:00"`:                at,
		`"2026-11-20T05:12:00+01:00"`:          at,
		`"2026-11-20T04:12:00.1234567Z"`:       at.Add(123456700),
		`"20261120041200.000000+***"`:          at,
		`"20261120051200.000000+060"`:          at,
		`"20261119231200.000000-300"`:          at,
		`"0001-01-01T00:00:00Z"`:               {},
		`"9999-12-31T23:59:59Z"`:               {},
		`"1980-01-01T00:00:00Z"`:               {},
		`null`:                                 {},
		`""`:                                   {},
		`"yesterday"`:                          {},
		`20261120`:                             {},
		`"20261120041200.0000000000000000000"`: {},
	} {
		m := moment{time.Unix(0, 0)}
		if err := json.Unmarshal([]byte(in), &m); err != nil || !m.Equal(want) {
			t.Errorf("%s: %s, %v, want %s", in, m, err, want)
		}
	}
}
