package httpjson

import (
	"reflect"
	"strings"
	"testing"
)

func TestPointer(t *testing.T) {
	const text = `{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"m~n":8,"~1":9,"x":{"y":[{"z":null}]}}`
	doc, err := (&document{limit: 1 << 10}).read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		pointer string
		want    any
		ok      bool
	}{
		{"/foo/0", "bar", true},
		{"/foo/1", "baz", true},
		{"/", int64(0), true},
		{"/a~1b", int64(1), true},
		{"/c%d", int64(2), true},
		{"/m~0n", int64(8), true},
		{"/~01", int64(9), true},
		{"/x/y/0/z", nil, true},
		{"/foo/2", nil, false},
		{"/foo/00", nil, false},
		{"/foo/-", nil, false},
		{"/foo/-1", nil, false},
		{"/foo/+1", nil, false},
		{"/foo/9999999999", nil, false},
		{"/foo/bar", nil, false},
		{"/Foo", nil, false},
		{"/a~1b/c", nil, false},
		{"/x/y/0/z/q", nil, false},
	}
	for _, tt := range tests {
		p, err := parsePointer(tt.pointer)
		if err != nil {
			t.Errorf("parsePointer(%q): %v", tt.pointer, err)
			continue
		}
		got, ok := p.find(doc)
		if ok != tt.ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("find(%q) = %v, %v; want %v, %v", tt.pointer, got, ok, tt.want, tt.ok)
		}
		if p.String() != tt.pointer {
			t.Errorf("String of %q = %q", tt.pointer, p)
		}
	}
	for _, bad := range []string{"a", "/~", "/a~2", "/~0~", "/" + strings.Repeat("a", maxPointer), strings.Repeat("/a", maxDepth+1)} {
		if _, err := parsePointer(bad); err == nil {
			t.Errorf("parsePointer(%.20q) succeeds", bad)
		}
	}
}
