package identity

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestJOSEObject(t *testing.T) {
	for _, tc := range []struct {
		text string
		want map[string]any // nil: refused
	}{
		{`{}`, map[string]any{}},
		{`{ "a" : 1 , "b" : [ ] }`, map[string]any{"a": int64(1), "b": []any{}}},
		{`{"a":-0,"b":1.0,"c":1e2,"d":9223372036854775807,"e":9223372036854775808}`, map[string]any{
			"a": int64(0), "b": 1.0, "c": 100.0, "d": int64(9223372036854775807), "e": 9223372036854775808.0,
		}},
		{`{"a":[true,false,null,"x",{"y":[]}]}`, map[string]any{"a": []any{true, false, nil, "x", map[string]any{"y": []any{}}}}},
		{`{"\u0061":"\"\\\/\n\u00e9\ud83d\ude00"}`, map[string]any{"a": "\"\\/\n\u00e9\U0001f600"}},
		{`{"a]}":"b,{["}`, map[string]any{"a]}": "b,{["}},
		{`{"a":1,"a":1}`, nil},
		{`{"a":1,"\u0061":1}`, nil},
		{`{"x":[{"a":1,"a":2}]}`, nil},
		{`{"a":"\ud800"}`, nil},
		{`{"\udc00":1}`, nil},
		{`{"a":1e999}`, nil},
		{`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}`, nil}, // more than the limit of this test
	} {
		if !joseCheck([]byte(tc.text)) {
			t.Errorf("%s: not valid", tc.text)
			continue
		}
		got, ok := joseObject(tc.text, 5)
		if ok != (tc.want != nil) || ok && !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %#v, %t, want %#v", tc.text, got, ok, tc.want)
		}
	}
}

func TestJOSECheck(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for text, want := range map[string]bool{
		`{}`: true, deep(joseMaxDepth): true, deep(joseMaxDepth + 1): false, `{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}`: true,
		`{"a":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}`: true,
		``: false, `[]`: false, `"x"`: false, ` {}`: false, `{} `: true, `{}x`: false,
		"{\"a\":\"\xff\"}": false, "{\"a\":\"\x01\"}": false, `{"a":01}`: false, `{'a':1}`: false, `{"a":NaN}`: false, `{"a":1,}`: false,
	} {
		if got := joseCheck([]byte(text)); got != want {
			t.Errorf("%.60s: got %t, want %t", text, got, want)
		}
	}
}

func TestJOSEFold(t *testing.T) {
	for text, want := range map[string]string{
		"sub": "sub", "SUB": "sub", "\u017fub": "sub", "\u017fUB": "sub", "x5t#S256": "x5t#s256", "\u212a": "k", "": "",
		"Gr\u00dcn": "gr\u00dcn", "gr\u00fcn": "gr\u00dcn",
	} {
		if got := joseFold(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	// The fold agrees with the one that encoding/json matches fields by.
	for name := range claimNames {
		for _, variant := range []string{strings.ToUpper(name), strings.ReplaceAll(name, "s", "\u017f"), strings.ReplaceAll(name, "k", "\u212a")} {
			if !strings.EqualFold(name, variant) || joseFold(variant) != joseFold(name) {
				t.Errorf("%q and %q: folds differ", name, variant)
			}
		}
	}
	var v struct {
		Sub string `json:"sub"`
	}
	if err := json.Unmarshal([]byte(`{"\u017fub":"x"}`), &v); err != nil || v.Sub != "x" {
		t.Skip("encoding/json no longer folds names")
	}
}
