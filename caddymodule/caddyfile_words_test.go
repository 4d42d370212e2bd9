package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision/policy"
)

func TestPlaced(t *testing.T) {
	one := &policy.Error{Place: "Caddyfile:7", Msg: "unknown word"}
	two := &policy.Error{Msg: "no place"}
	tests := []struct {
		in   error
		want string
	}{
		{one, "unknown word, at Caddyfile:7"},
		{two, "no place"},
		{errors.Join(one, two, errors.New("and 3 more errors")), "unknown word, at Caddyfile:7\nno place\nand 3 more errors"},
		{fmt.Errorf("other"), "other"},
	}
	for _, tc := range tests {
		if got := placed(tc.in).Error(); got != tc.want {
			t.Errorf("placed(%v) = %q, want %q", tc.in, got, tc.want)
		}
	}
	if placed(nil) != nil {
		t.Error("placed(nil) is an error")
	}
}

func TestOneOf(t *testing.T) {
	tests := map[string][]string{"": nil, "off": {"off"}, "on or off": {"on", "off"}, "a, b or c": {"a", "b", "c"}}
	for want, words := range tests {
		if got := oneOf(words); got != want {
			t.Errorf("oneOf(%q) = %q, want %q", words, got, want)
		}
	}
}

// TestPlaceIsNoChange: a source keeps its verdicts when only its line moves.
func TestPlaceIsNoChange(t *testing.T) {
	key := func(raw string) string {
		t.Helper()
		same, err := withoutPlace(json.RawMessage(raw))
		if err != nil {
			t.Fatal(err)
		}
		k, err := configKey("source", same)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	a := key(`{"source":"inventory","path":"a.csv","place":"Caddyfile:7"}`)
	if b := key(`{"path":"a.csv","place":"Caddyfile:9","source":"inventory"}`); a != b {
		t.Error("another line gives another key")
	}
	if c := key(`{"source":"inventory","path":"b.csv","place":"Caddyfile:7"}`); a == c {
		t.Error("another file gives the same key")
	}
}
