package inventory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Many batches come back in the order of the file, with the lines of bad rows,
// whether a row is simple or not.
func TestBatchesKeepOrderAndLines(t *testing.T) {
	const n = 5000
	var b bytes.Buffer
	b.WriteString("serial,name,compliance\n\n")
	at, want := 3, []string(nil)
	for i := range n {
		switch i % 7 {
		case 3:
			fmt.Fprintf(&b, "S%06d,\"two\nlines, \"\"quoted\"\"\",compliant\r\n", i)
			at++
		case 5:
			fmt.Fprintf(&b, "S%06d,a\"b,compliant\n", i)
			want = append(want, fmt.Sprintf("line %d: %v", at, csv.ErrBareQuote))
		case 6:
			fmt.Fprintf(&b, "S%06d,short\n\r\n", i)
			want = append(want, fmt.Sprintf("line %d: row has 2 fields, header has 3", at))
			at++
		default:
			fmt.Fprintf(&b, "S%06d,\"plain\",compliant\n", i)
		}
		at++
	}
	c := collect(b.Bytes(), "")
	if c.err != nil {
		t.Fatal(c.err)
	}
	if !reflect.DeepEqual(c.bad, want) {
		t.Errorf("%d bad rows, want %d", len(c.bad), len(want))
		for i := range min(len(c.bad), len(want)) {
			if c.bad[i] != want[i] {
				t.Fatalf("bad row %d is %q, want %q", i, c.bad[i], want[i])
			}
		}
	}
	next := 0
	for i := range n {
		if i%7 == 5 || i%7 == 6 {
			continue
		}
		if got := c.devices[next].Keys[0].Value; got != fmt.Sprintf("S%06d", i) {
			t.Fatalf("device %d is %s, want S%06d", next, got, i)
		}
		if name := c.devices[next].Name; i%7 == 3 && name != "two lines, \"quoted\"" {
			t.Fatalf("name is %q", name)
		}
		next++
	}
}

// Broken syntax ends the reading of a document wherever in a record it stands,
// also behind a member that makes the record bad.
func TestBrokenSyntaxIsNoBadRecord(t *testing.T) {
	for _, element := range []string{
		`{"x":1,"y":}`, `{"x":1 "y":2}`, `{"ids":{"asset":"a"}]`, `{"name":"\x"}`, `{"name":tru}`, `{"ids":[1,]}`, `[1}`, `{"x":1,"y":"\u12"}`,
		`{"settings":[{"name":"a"},]}`, "{\"name\":\"\x01\"}", `{"name":01}`, `{]`, `{"a"}`,
	} {
		content := []byte(`{"version":1,"devices":[{"ids":{"asset":"a"}},` + element + `]}`)
		c := collect(content, FormatJSON)
		var se *syntaxError
		if c.err == nil || !errors.As(c.err, &se) || len(c.bad) > 0 {
			t.Errorf("%s: error %v, bad %q", element, c.err, c.bad)
		}
	}
}

// A sink that panics, and a context that ends, leave no goroutine behind.
func TestReadingStops(t *testing.T) {
	content := []byte("serial,compliance\n" + strings.Repeat("x,compliant\n", 200_000))
	in := &input{ctx: context.Background(), r: bytes.NewReader(content), size: int64(len(content)), sum: sha256.New()}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic of a sink was lost")
			}
		}()
		decode(in, "", testNow, sink{device: func(decision.Verdict) { panic("full") }}) //nolint:errcheck // it panics
	}()
	ctx, cancel := context.WithCancel(context.Background())
	in = &input{ctx: ctx, r: bytes.NewReader(content), size: int64(len(content)), sum: sha256.New()}
	_, err := decode(in, "", testNow, sink{device: func(decision.Verdict) { cancel() }, bad: func(string, error) {}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// What panics in a splitter or a worker fails the reading.
func TestPanicsFailTheReading(t *testing.T) {
	one := func(s *splitter) error { return s.add([]byte("x"), record{}) }
	idle := func() parser { return func(string, *record, []decision.Key, *result) {} }
	none := func(*batch) error { return nil }
	if err := pipe(func(*splitter) error { panic(1) }, idle, none); !errors.Is(err, errInternal) {
		t.Errorf("splitter: %v", err)
	}
	worker := func() parser { return func(string, *record, []decision.Key, *result) { panic(1) } }
	if err := pipe(one, worker, none); !errors.Is(err, errInternal) {
		t.Errorf("worker: %v", err)
	}
	if err := pipe(one, idle, func(*batch) error { return io.ErrUnexpectedEOF }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("emit: %v", err)
	}
}

// The short way of reading a time comes to what the time package says.
func TestCommonTimes(t *testing.T) {
	for _, s := range []string{
		"2026-11-20T21:03:10Z", "2026-11-20 21:03:10.1234567", "2026-11-20 21:03:10", "2026-11-20T21:03:10.5Z", "2026-11-20T21:03:10",
		"2026-02-28T23:59:59.999999999Z", "1971-01-01T00:00:00.000Z", "2099-12-28 00:00:00Z",
	} {
		got, ok := parseCommonTime(s)
		layout := strings.Replace("2006-01-02T15:04:05", "T", s[10:11], 1)
		if strings.HasSuffix(s, "Z") {
			layout += "Z07:00"
		}
		want, err := time.Parse(layout, s)
		if !ok || err != nil || !reflect.DeepEqual(got, want.UTC()) {
			t.Errorf("%s: %v (%v), want %v (%v)", s, got, ok, want, err)
		}
	}
	for _, s := range []string{
		"", "2026-11-20", "2026-11-20T21:03:10+01:00", "2026-13-20T21:03:10Z", "2026-02-29T21:03:10Z", "2026-11-20T24:03:10Z", "2026-11-20T21:60:10Z",
		"2026-11-20T21:03:60Z", "2026-11-20T21:03:10.Z", "2026-11-20T21:03:10.1234567890Z", "2026-11-20T21:03:1xZ", "2026-11-20T21:03:10ZZ", "1901-01-01T00:00:00Z",
	} {
		if got, ok := parseCommonTime(s); ok {
			t.Errorf("%s: %v", s, got)
		}
	}
}

// FuzzSimpleRow holds the short way of reading a row to encoding/csv, which also
// must find the end of the row where the line ends.
func FuzzSimpleRow(f *testing.F) {
	for _, s := range []string{`a,b`, `"a","b"`, `a,"b",`, `,`, `""`, `"a""b",c`, `a"b"`, `"a"b",c"d`, "a\r", `"a" ,b`, "\r\r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "\n") || strings.Count(s, `"`)%2 != 0 || s == "" || s == "\r" {
			return
		}
		r := csv.NewReader(strings.NewReader(s + "\n" + "next"))
		r.FieldsPerRecord = -1
		want, err := r.Read()
		if r.InputOffset() != int64(len(s)+1) {
			t.Fatalf("the row ends at %d, not with its line", r.InputOffset())
		}
		if got, ok := simple(nil, s+"\n", ','); ok && (err != nil || !reflect.DeepEqual(got, want)) {
			t.Fatalf("got %q, want %q (%v)", got, want, err)
		}
	})
}
