package httpjson

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// lister makes a source that lists through x.
func lister(t *testing.T, x exchange, change func(*Options)) source.Syncer {
	t.Helper()
	o := good()
	o.URL, o.Kinds, o.ListURL, o.Items, o.Next = "", nil, "https://mdm.corp.example/v1/all?size=2", "/rows", "/next"
	o.Transport = x
	if change != nil {
		change(&o)
	}
	s, ok := build(t, o).(source.Syncer)
	if !ok {
		t.Fatal("source is no Syncer")
	}
	return s
}

// pages answers each address once, in any order.
func pages(t *testing.T, byURL map[string]string) exchange {
	t.Helper()
	return func(r *http.Request) (*http.Response, error) {
		body, ok := byURL[r.URL.RequestURI()]
		if !ok {
			t.Errorf("unexpected request for %s", r.URL)
			return response(500, ""), nil
		}
		return response(200, body), nil
	}
}

func TestPaging(t *testing.T) {
	const one, two = `{"serial": "SN1", "status": "compliant"}`, `{"serial": "SN2", "status": "noncompliant"}`
	tests := map[string]struct {
		change  func(*Options)
		pages   map[string]string
		devices int
		err     string
	}{
		"one page": {nil, map[string]string{"/v1/all?size=2": `{"rows": [` + one + `,` + two + `]}`}, 2, ""},
		"absolute link": {nil, map[string]string{
			"/v1/all?size=2":         `{"rows": [` + one + `], "next": "https://MDM.corp.example:443/v1/all?size=2&after=x"}`,
			"/v1/all?size=2&after=x": `{"next": "/v2/all#end", "rows": [` + two + `]}`,
			"/v2/all":                `{"rows": [], "next": false}`,
		}, 2, ""},
		"text as token": {func(o *Options) { o.NextParameter = "after" }, map[string]string{
			"/v1/all?size=2":                        `{"rows": [` + one + `], "next": "a b&size=9"}`,
			"/v1/all?size=2&after=a%20b%26size%3D9": `{"rows": [` + two + `], "next": ""}`,
		}, 2, ""},
		"token replaces token": {func(o *Options) { o.NextParameter = "after"; o.ListURL += "&after=0&f=a;b" }, map[string]string{
			"/v1/all?size=2&after=0&f=a;b": `{"rows": [` + one + `], "next": 1}`,
			"/v1/all?size=2&f=a;b&after=1": `{"rows": [` + two + `], "next": null}`,
		}, 2, ""},
		"page numbers": {func(o *Options) { o.ListURL, o.Next, o.FirstPage = "https://mdm.corp.example/all?p={page}", "", 1 }, map[string]string{
			"/all?p=1": `{"rows": [` + one + `]}`, "/all?p=2": `{"rows": [` + two + `]}`, "/all?p=3": `{"rows": null}`,
		}, 2, ""},
		"offsets": {func(o *Options) { o.ListURL, o.Next, o.Items = "https://mdm.corp.example/all?o={offset}", "", "" }, map[string]string{
			"/all?o=0": `[` + one + `,` + two + `]`, "/all?o=2": `[]`,
		}, 2, ""},
		"empty list":   {nil, map[string]string{"/v1/all?size=2": `{"rows": []}`}, 0, ""},
		"null list":    {nil, map[string]string{"/v1/all?size=2": `{"rows": null}`}, 0, "null instead of a list at /rows"},
		"no list":      {nil, map[string]string{"/v1/all?size=2": `{"error": "sorry"}`}, 0, "no list at /rows"},
		"object":       {nil, map[string]string{"/v1/all?size=2": `{"rows": {}}`}, 0, "no list at /rows"},
		"cut off":      {nil, map[string]string{"/v1/all?size=2": `{"rows": [` + one + `,`}, 0, "ends early"},
		"other host":   {nil, map[string]string{"/v1/all?size=2": `{"rows": [], "next": "https://evil.example/"}`}, 0, "another origin"},
		"other port":   {nil, map[string]string{"/v1/all?size=2": `{"rows": [], "next": "https://mdm.corp.example:444/"}`}, 0, "another origin"},
		"other scheme": {nil, map[string]string{"/v1/all?size=2": `{"rows": [], "next": "http://mdm.corp.example/"}`}, 0, "another origin"},
		"host only":    {nil, map[string]string{"/v1/all?size=2": `{"rows": [], "next": "//evil.example/all"}`}, 0, "another origin"},
		"user in link": {nil, map[string]string{"/v1/all?size=2": `{"rows": [], "next": "https://a:b@mdm.corp.example/"}`}, 0, "another origin"},
		"odd link":     {nil, map[string]string{"/v1/all?size=2": `{"rows": [], "next": {"href": "/x"}}`}, 0, "is no text"},
		"broken link":  {nil, map[string]string{"/v1/all?size=2": `{"rows": [], "next": "http://[::1"}`}, 0, "not a URL"},
		"circle": {nil, map[string]string{
			"/v1/all?size=2": `{"rows": [], "next": "/v1/b"}`, "/v1/b": `{"rows": [], "next": "/v1/all?size=2"}`,
		}, 0, "page 3: leads back"},
		"offset ignored": {func(o *Options) { o.ListURL, o.Next = "https://mdm.corp.example/all?o={offset}", "" }, map[string]string{
			"/all?o=0": `{"rows": [` + one + `]}`, "/all?o=1": `{"rows": [` + one + `]}`,
		}, 0, "begins like the page before"},
		"too many pages": {func(o *Options) { o.MaxPages = 1 }, map[string]string{"/v1/all?size=2": `{"rows": [], "next": "/v1/b"}`}, 0, "more than 1 pages"},
		"page too large": {func(o *Options) { o.MaxBody = 20 }, map[string]string{"/v1/all?size=2": `{"rows": [` + one + `]}`}, 0, "too large"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sweep := source.NewSweep(10)
			err := lister(t, pages(t, tt.pages), tt.change).Sync(t.Context(), sweep)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("Sync = %v, want an error with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if bad, rows := sweep.BadRows(); bad > 0 || sweep.Devices() != tt.devices {
				t.Errorf("%d devices, %d bad %v; want %d", sweep.Devices(), bad, rows, tt.devices)
			}
		})
	}
}

func TestListCountsBadRows(t *testing.T) {
	s := lister(t, pages(t, map[string]string{
		"/v1/all?size=2": `{"rows": [{"serial": "SN1"}, 7, {"status": "compliant"}, {"serial": "none", "status": "compliant"}, null]}`,
	}), nil)
	sweep := source.NewSweep(10)
	if err := s.Sync(t.Context(), sweep); err != nil {
		t.Fatal(err)
	}
	n, rows := sweep.BadRows()
	if n != 4 || sweep.Devices() != 1 {
		t.Fatalf("%d devices, %d bad; want 1 and 4", sweep.Devices(), n)
	}
	if want := (source.BadRow{Place: "page 1, device 3", Error: "has no usable device id"}); rows[1] != want {
		t.Errorf("bad row %v, want %v", rows[1], want)
	}
}

// TestListCountsAnew: the metric tells how many devices have a word without a meaning
// now, not how often they were listed.
func TestListCountsAnew(t *testing.T) {
	body := ""
	s := lister(t, func(*http.Request) (*http.Response, error) { return response(200, body), nil }, nil)
	counting, ok := s.(source.Counting)
	if !ok {
		t.Fatal("source counts nothing")
	}
	odd, fine := `{"serial": "SN1", "status": "odd"}`, `{"serial": "SN2", "status": "compliant"}`
	for i, tt := range []struct {
		body string
		fail bool
		want uint64
	}{
		{`{"rows": [` + odd + `,` + fine + `]}`, false, 1},
		{`{"rows": [` + odd + `,` + fine + `]}`, false, 1},
		{`{"rows": [` + odd + `,`, true, 1}, // half a list says nothing
		{`{"rows": [` + fine + `]}`, false, 0},
	} {
		body = tt.body
		err := s.Sync(t.Context(), source.NewSweep(0))
		if (err != nil) != tt.fail {
			t.Errorf("list %d: %v", i, err)
		}
		var got uint64
		for _, v := range counting.Counters().Skipped {
			if v.Field == "compliance" && v.Reason == "unlisted" {
				got += v.Count
			}
		}
		if got != tt.want {
			t.Errorf("list %d: %d values are skipped, want %d", i, got, tt.want)
		}
	}
}

func TestListStatuses(t *testing.T) {
	for code, want := range map[int]string{404: "no such list", 401: "refuses", 403: "grant read access", 500: "status 500", 302: "redirects"} {
		s := lister(t, func(*http.Request) (*http.Response, error) { return response(code, ""), nil }, nil)
		err := s.Sync(t.Context(), source.NewSweep(10))
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, source.ErrUnknownDevice) || errors.Is(err, source.ErrUnchanged) {
			t.Errorf("status %d: Sync = %v, want an error with %q", code, err, want)
		}
		if errors.Is(err, source.ErrNotAccepted) != (code == 401) || errors.Is(err, source.ErrNotPermitted) != (code == 403) {
			t.Errorf("status %d: %v counts as another denial", code, err)
		}
	}
}

// A service that throttles in the middle of a list is waited for, briefly.
func TestListWaits(t *testing.T) {
	tests := map[string]struct {
		after   string
		refuse  int // how often
		timeout time.Duration
		took    time.Duration
		ok      bool
	}{
		"a little":        {"5", 3, time.Minute, 15 * time.Second, true},
		"too often":       {"5", 4, time.Minute, 15 * time.Second, false},
		"too long":        {"21", 1, time.Minute, 0, false},
		"without a time":  {"", 1, time.Minute, 0, false},
		"beyond our time": {"10", 1, 8 * time.Second, 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				refused := 0
				s := lister(t, func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == "/v1/b" && refused < tt.refuse {
						refused++
						return response(429, "", "Retry-After", tt.after), nil
					}
					return response(200, map[string]string{
						"/v1/all": `{"rows": [{"serial": "SN1"}], "next": "b"}`, "/v1/b": `{"rows": [{"serial": "SN2"}]}`,
					}[r.URL.Path]), nil
				}, nil)
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				start, sweep := time.Now(), source.NewSweep(10)
				err := s.Sync(ctx, sweep)
				var throttled *source.ThrottledError
				if tt.ok && (err != nil || sweep.Devices() != 2) || !tt.ok && !errors.As(err, &throttled) {
					t.Errorf("Sync = %v with %d devices", err, sweep.Devices())
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

func TestListEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := lister(t, func(*http.Request) (*http.Response, error) {
			return response(429, "", "Retry-After", "9"), nil
		}, nil)
		time.AfterFunc(time.Second, cancel)
		if err := s.Sync(ctx, source.NewSweep(10)); !errors.Is(err, context.Canceled) {
			t.Errorf("Sync = %v, want Canceled", err)
		}
		synctest.Wait()
	})
}

// cancelling is a body that ends its request's context after some bytes.
type cancelling struct {
	*strings.Reader
	cancel context.CancelFunc
}

// Read implements io.Reader.
func (c cancelling) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p[:min(len(p), 512)])
	if c.Reader.Len() < 5000 {
		c.cancel()
	}
	return n, err
}

// Close implements io.Closer.
func (c cancelling) Close() error { return nil }

func TestListEndsInTheMiddleOfAPage(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	text := `{"rows": [` + strings.Repeat(`{"serial": "SN1"},`, 1000) + `{"serial": "SN1"}]}`
	s := lister(t, func(*http.Request) (*http.Response, error) {
		res := response(200, "")
		res.Body = cancelling{strings.NewReader(text), cancel}
		return res, nil
	}, nil)
	sweep := source.NewSweep(2000)
	if err := s.Sync(ctx, sweep); !errors.Is(err, context.Canceled) || sweep.Devices() > 900 {
		t.Errorf("Sync = %v after %d devices", err, sweep.Devices())
	}
}

// A large list is read device by device: what one page holds at a time is one
// device, whatever the page.
func TestLargePage(t *testing.T) {
	const n = 30_000
	var b strings.Builder
	b.WriteString(`{"rows": [`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"serial": "SN%d", "status": "compliant", "more": [1, 2, 3]}`, i)
	}
	b.WriteString(`]}`)
	s := lister(t, pages(t, map[string]string{"/v1/all?size=2": b.String()}), nil)
	sweep := source.NewSweep(n)
	if err := s.Sync(t.Context(), sweep); err != nil { // has more values than one device may
		t.Fatal(err)
	}
	table, err := sweep.Table()
	if err != nil || table.Len() != n {
		t.Errorf("%d devices, %v; want %d", table.Len(), err, n)
	}
	if _, ok := table.Find(decision.Key{Kind: "serial", Value: "SN29999"}); !ok {
		t.Error("the last device is missing")
	}
}
