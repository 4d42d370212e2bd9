package httpjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestDocument(t *testing.T) {
	tests := map[string]struct {
		text string
		want any
		err  string
	}{
		"scalars": {
			`[1, -2, 1.5, 1e2, "a", true, false, null]`,
			[]any{int64(1), int64(-2), 1.5, 100.0, "a", true, false, nil},
			"",
		},
		"largest integer":        {`9223372036854775807`, int64(9223372036854775807), ""},
		"too large an integer":   {`9223372036854775808`, 9223372036854775808.0, ""},
		"object":                 {` {"a": {"b": []}} `, map[string]any{"a": map[string]any{"b": []any{}}}, ""},
		"deep enough":            {strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1), nil, ""},
		"too deep":               {strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), nil, "nested deeper"},
		"duplicate member":       {`{"status": "FAIL", "status": "PASS"}`, nil, `member "status" is there twice`},
		"escaped duplicate":      {`{"a": 1, "\u0061": 2}`, nil, "twice"},
		"duplicate further down": {`{"x": [{"a": 1, "a": 1}]}`, nil, "twice"},
		"long number":            {strings.Repeat("1", maxNumber+1), nil, "number is longer"},
		"huge number":            {`1e999`, nil, "out of range"},
		"trailing text":          {`{} {}`, nil, "goes on"},
		"trailing comma":         {`[1,]`, nil, "not JSON"},
		"cut off":                {`{"a": [1, 2`, nil, "ends early"},
		"nothing":                {``, nil, "ends early"},
		"no JSON":                {`OK`, nil, "not JSON"},
		"too large":              {`"` + strings.Repeat("a", 1<<10) + `"`, nil, "too large"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := (&document{limit: 1 << 10}).read(strings.NewReader(tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error = %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || tt.want != nil && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("read = %#v, %v; want %#v", got, err, tt.want)
			}
		})
	}
	many := "[" + strings.Repeat("0,", maxValues) + "0]"
	if _, err := (&document{limit: 1 << 20}).read(strings.NewReader(many)); err == nil || !strings.Contains(err.Error(), "values") {
		t.Errorf("%d values: error = %v", maxValues+2, err)
	}
}

func TestDocumentHandsOutRows(t *testing.T) {
	tests := map[string]struct {
		items, text string
		rows        []any
		seen, null  bool
	}{
		"whole document":   {"", `[1, 2]`, []any{int64(1), int64(2)}, true, false},
		"member":           {"/a/b", `{"a": {"x": [9], "b": [1], "y": 2}}`, []any{int64(1)}, true, false},
		"element":          {"/1/b", `[{"b": [8]}, {"b": [1]}]`, []any{int64(1)}, true, false},
		"same name deeper": {"/a", `{"b": {"a": [8]}, "a": [{"a": [1]}]}`, []any{map[string]any{"a": []any{int64(1)}}}, true, false},
		"empty":            {"/a", `{"a": []}`, nil, true, false},
		"null":             {"/a", `{"a": null}`, nil, false, true},
		"absent":           {"/a", `{"b": [1]}`, nil, false, false},
		"object":           {"/a", `{"a": {"0": 1}}`, nil, false, false},
		"scalar":           {"/a", `{"a": 7}`, nil, false, false},
		"path ends early":  {"/a/b", `{"a": [1]}`, nil, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			items, err := parsePointer(tt.items)
			if err != nil {
				t.Fatal(err)
			}
			var rows []any
			d := &document{limit: 1 << 10, items: items, row: func(v any) error { rows = append(rows, v); return nil }}
			if _, err := d.read(strings.NewReader(tt.text)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(rows, tt.rows) || d.seen != tt.seen || d.null != tt.null {
				t.Errorf("rows %v, seen %v, null %v; want %v, %v, %v", rows, d.seen, d.null, tt.rows, tt.seen, tt.null)
			}
		})
	}
	stop := errors.New("stop")
	d := &document{limit: 1 << 10, row: func(any) error { return stop }}
	if _, err := d.read(strings.NewReader(`[1, 2]`)); !errors.Is(err, stop) {
		t.Errorf("error of a row became %v", err)
	}
}

// FuzzDocument compares with encoding/json: what we accept is JSON of the same
// meaning, and handing out rows changes nothing.
func FuzzDocument(f *testing.F) {
	seeds(f)
	for _, s := range []string{
		`{"rows":[{"a":1},2],"next":"x"}`, `{"rows":null}`, `[[],{}]`, `{"a":1,"a":2}`, `"\ud800"`, `1e400`, "\xff", `{"rows":[`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := (&document{limit: 1 << 16}).read(strings.NewReader(text))
		var rows []any
		d := &document{limit: 1 << 16, items: pointer{"rows"}, row: func(v any) error { rows = append(rows, v); return nil }}
		if _, rowErr := d.read(strings.NewReader(text)); (err == nil) != (rowErr == nil) {
			t.Fatalf("with rows %v, without %v", rowErr, err)
		}
		if err != nil {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("accepts %q", text)
		}
		var want any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("json.Unmarshal(%q): %v", text, err)
		}
		if got := floats(doc); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q reads as %#v, want %#v", text, got, want)
		}
		if m, ok := doc.(map[string]any); ok {
			if list, ok := m["rows"].([]any); ok && (len(list) != len(rows) || len(list) > 0 && !reflect.DeepEqual(list, floats(rows))) {
				t.Fatalf("%q hands out %#v, want %#v", text, rows, list)
			}
		}
	})
}

// floats turns integers into what encoding/json makes of them.
func floats(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = floats(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = floats(v[k])
		}
	}
	return v
}
