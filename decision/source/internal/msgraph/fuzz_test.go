package msgraph

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func addFiles(f *testing.F, pattern string, add func([]byte)) {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in %s", pattern)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(b)
		add(b[:len(b)/2])
	}
}

// FuzzSplitPage compares the one-pass reader with a plain decoder: what it
// accepts is a page, with the same rows and links.
func FuzzSplitPage(f *testing.F) {
	addFiles(f, "testdata/pages/*", func(b []byte) { f.Add(b) })
	for _, s := range []string{`{"value":[]}`, `{"value":[1,null,"x",[],{}]}`, `{"value":[],"Value":[1]}`, `{"value":[]} x`, `{"value":[{"value":[1]}],"@odata.count":2}`, "{\"value\":[\"\u2028\"]}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := splitPage(body)
		if err != nil {
			return
		}
		var plain map[string]json.RawMessage
		if json.Unmarshal(body, &plain) != nil {
			t.Fatalf("accepted %q, which is no JSON object", body)
		}
		var rows []json.RawMessage
		if json.Unmarshal(plain["value"], &rows) != nil || len(rows) != len(p.rows) {
			t.Fatalf("%d rows of %q, want %d", len(p.rows), body, len(rows))
		}
		for i := range rows {
			if string(rows[i]) != string(p.rows[i]) {
				t.Fatalf("row %d is %q, want %q", i, p.rows[i], rows[i])
			}
		}
		for name, got := range map[string]string{"@odata.nextLink": p.next, "@odata.deltaLink": p.delta} {
			var want string
			if raw, ok := plain[name]; ok && json.Unmarshal(raw, &want) != nil || want != got {
				t.Fatalf("%s is %q, want %q", name, got, want)
			}
		}
	})
}

// FuzzFailure reads whatever a failed answer holds: the error is one bounded line
// without tokens, whatever kind it is.
func FuzzFailure(f *testing.F) {
	addFiles(f, "testdata/errors/*", func(b []byte) {
		for _, status := range []int{302, 400, 401, 404, 410, 429, 503} {
			f.Add(status, b, `Bearer realm="", error="insufficient_claims", claims="eyJhIjp7fX0="`, "2.128")
		}
	})
	f.Add(403, []byte(`{"error":{"code":"x","message":"eyJhbGciOiJSUzI1NiJ9.e30.sig"}}`), "", "-1")
	f.Fuzz(func(t *testing.T, status int, body []byte, challenge, after string) {
		h := http.Header{"Www-Authenticate": {challenge}, "Retry-After": {after}}
		e := failure(IntuneDevices, status, h, body)
		s := e.Error()
		if len(s) > 4*maxMessage+600 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
			t.Errorf("error %q is not one bounded line", s)
		}
		if bearer.MatchString(s) {
			t.Errorf("error %q repeats a token", s)
		}
		if e.RetryAfter < 0 || e.RetryAfter > maxRetryAfter {
			t.Errorf("wait of %v", e.RetryAfter)
		}
		if e.Kind == KindNotFound && (status != http.StatusNotFound || len(body) > 0 && !decodeError(body).found) {
			t.Errorf("status %d with %q counts as not found", status, body)
		}
		if e.Claims != "" && !json.Valid([]byte(e.Claims)) {
			t.Errorf("claims %q", e.Claims)
		}
	})
}

// FuzzUnpackBatch reads whatever a batch answers: one answer per call, each with
// a status of 2xx or an error.
func FuzzUnpackBatch(f *testing.F) {
	f.Add([]byte(`{"responses":[]}`))
	addFiles(f, "testdata/pages/batch.json", func(b []byte) { f.Add(b) })
	fake := &fake{}
	c, err := New(fake.options())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	calls := []Request{{Endpoint: IntuneDevices}, {Endpoint: DirectoryUsers}}
	f.Fuzz(func(t *testing.T, body []byte) {
		answers, err := c.unpack(body, calls)
		if err != nil {
			return
		}
		if len(answers) != len(calls) {
			t.Fatalf("%d answers", len(answers))
		}
		for _, a := range answers {
			if ok := a.Status >= 200 && a.Status <= 299; ok != (a.Err == nil) {
				t.Errorf("status %d with error %v", a.Status, a.Err)
			}
		}
	})
}
