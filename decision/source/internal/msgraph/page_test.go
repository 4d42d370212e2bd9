package msgraph

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func list(f *fake, t *testing.T) (rows []string, last Last, err error) {
	t.Helper()
	inBubble(t, f, func(t *testing.T, c *Client) {
		r := devices()
		r.Query = map[string][]string{"$select": {"id"}}
		r.Header = http.Header{"ConsistencyLevel": {"eventual"}}
		last, err = c.Pages(t.Context(), r, func(raw json.RawMessage) error {
			rows = append(rows, string(raw))
			return nil
		})
	})
	return rows, last, err
}

func TestPagesFollowsLinks(t *testing.T) {
	const second = "https://graph.microsoft.com/v1.0/devices?$skiptoken=a%20b+c"
	const third = "https://graph.microsoft.com/v1.0/devices?$filter=a eq 'b'" // as some services print it
	f := &fake{serve: inOrder(
		with(200, `{"@odata.context":{"x":[1]},"@odata.nextLink":"`+second+`","value":[{"id":"1"}, {"id":"2"}]}`),
		with(200, `{"value":[{"id":"3"}],"@odata.nextLink":"`+third+`"}`),
		with(200, `{"value":[],"@odata.deltaLink":"https://graph.microsoft.com/v1.0/devices/delta?$deltatoken=d"}`),
	)}
	rows, last, err := list(f, t)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rows, ""); got != `{"id":"1"}{"id":"2"}{"id":"3"}` {
		t.Errorf("rows %s", got)
	}
	if want := (Last{"https://graph.microsoft.com/v1.0/devices/delta?$deltatoken=d", 3, 3}); last != want {
		t.Errorf("last %+v, want %+v", last, want)
	}
	calls := f.seen()
	if calls[0].url != "https://graph.microsoft.com/v1.0/devices?$select=id" || calls[1].url != second {
		t.Errorf("asked for %s and %s", calls[0].url, calls[1].url)
	}
	if want := "https://graph.microsoft.com/v1.0/devices?$filter=a%20eq%20'b'"; calls[2].url != want {
		t.Errorf("asked for %s, want %s", calls[2].url, want)
	}
	if calls[1].header.Get("ConsistencyLevel") != "eventual" {
		t.Error("header is missing on the second page")
	}
}

func TestPagesRefuses(t *testing.T) {
	next := func(link string) func() (*http.Response, error) {
		return with(200, `{"value":[{"id":"1"}],"@odata.nextLink":"`+link+`"}`)
	}
	tests := map[string]struct {
		answer func() (*http.Response, error)
		want   Kind
	}{
		"foreign origin":    {next("https://graph.example.com/v1.0/devices?page=2"), KindAnswer},
		"other port":        {next("https://graph.microsoft.com:8443/v1.0/devices?page=2"), KindAnswer},
		"user in link":      {next("https://graph.microsoft.com@evil.example/v1.0/devices"), KindAnswer},
		"not encrypted":     {next("http://graph.microsoft.com/v1.0/devices?page=2"), KindAnswer},
		"dot segments":      {next("https://graph.microsoft.com/v1.0/../beta/devices"), KindAnswer},
		"loop":              {next("https://graph.microsoft.com/v1.0/devices?$select=id"), KindAnswer},
		"no value":          {with(200, `{"@odata.nextLink":null}`), KindAnswer},
		"null value":        {with(200, `{"value":null}`), KindAnswer},
		"value is a string": {with(200, `{"value":"x"}`), KindAnswer},
		"two values":        {with(200, `{"value":[],"value":[{"id":"1"}]}`), KindAnswer},
		"array":             {with(200, `[{"id":"1"}]`), KindAnswer},
		"garbage":           {with(200, `{"value":[{"id":`), KindAnswer},
		"trailing":          {with(200, `{"value":[]}{"value":[]}`), KindAnswer},
		"empty":             {with(200, ``), KindAnswer},
		"html":              {with(200, `<!DOCTYPE html><title>Sign in</title>`, "Content-Type", "text/html"), KindAnswer},
		"short":             {with(200, `{"@odata.count":3,"value":[{"id":"1"}]}`), KindAnswer},
		"redirect":          {with(302, ``, "Location", "https://graph.microsoft.com/v1.0/other"), KindAnswer},
		"unknown encoding":  {with(200, `x`, "Content-Encoding", "br"), KindAnswer},
		"not gzip":          {with(200, `{"value":[]}`, "Content-Encoding", "gzip"), KindAnswer},
		"cut off":           {cutOff, KindUnavailable},
		"gone":              {with(410, ``, "Location", "https://graph.microsoft.com/v1.0/devices/delta"), KindGone},
		"resync":            {with(400, `{"error":{"code":"resyncRequired","message":"too old"}}`), KindGone},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := list(&fake{serve: inOrder(tt.answer)}, t)
			e := wantKind(t, err, tt.want)
			if strings.Contains(e.Error(), "\n") || len(e.Error()) > 600 {
				t.Errorf("error is not one short line: %q", e.Error())
			}
		})
	}
}

// cutOff is a body that ends before its length.
func cutOff() (*http.Response, error) {
	r := answer(200, `{"value":[`)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"value":[`), brokenReader{}))
	return r, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A list of which a page breaks off goes on with a second try of that page, and
// no row is handed out twice.
func TestPagesRetriesAPage(t *testing.T) {
	f := &fake{serve: inOrder(
		with(200, `{"value":[{"id":"1"}],"@odata.nextLink":"https://graph.microsoft.com/v1.0/devices?p=2"}`),
		cutOff, with(503, ``), with(200, `{"value":[{"id":"2"}]}`),
	)}
	rows, last, err := list(f, t)
	if err != nil || len(rows) != 2 || last.Count != 2 || last.Pages != 2 {
		t.Errorf("rows %v, last %+v, error %v", rows, last, err)
	}
}

func TestPagesReturnsTheRowsError(t *testing.T) {
	stop := errors.New("enough")
	f := &fake{serve: inOrder(with(200, `{"value":[{"id":"1"},{"id":"2"}]}`))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		last, err := c.Pages(t.Context(), devices(), func(json.RawMessage) error { return stop })
		if err != stop || last.Count != 0 { //nolint:errorlint // returned as it is
			t.Errorf("got %+v, %v", last, err)
		}
	})
}

func TestPagesIsBounded(t *testing.T) {
	n := 0
	f := &fake{serve: func(*http.Request) (*http.Response, error) {
		n++
		return answer(200, fmt.Sprintf(`{"value":[],"@odata.nextLink":"https://graph.microsoft.com/v1.0/devices?p=%d"}`, n)), nil
	}}
	_, last, err := list(f, t)
	wantKind(t, err, KindAnswer)
	if last.Pages != maxPages {
		t.Errorf("%d pages, want %d", last.Pages, maxPages)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	bomb := zipped(strings.Repeat(" ", 4<<20)) // the emulator has a larger one
	f := &fake{serve: inOrder(with(200, bomb, "Content-Encoding", "gzip"))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		r := devices()
		r.MaxBody = 1 << 20
		_, err := c.Do(t.Context(), r)
		if e := wantKind(t, err, KindAnswer); !strings.Contains(e.Message, "too large") {
			t.Errorf("error %v", e)
		}
		r.MaxBody = 10
		f.serve = inOrder(with(200, `{"value":[]}`))
		_, err = c.Do(t.Context(), r)
		wantKind(t, err, KindAnswer)
		r.MaxBody = 12
		if _, err = c.Do(t.Context(), r); err != nil {
			t.Errorf("a body of just the limit: %v", err)
		}
		f.serve = inOrder(with(200, zipped(`{"value":[]}`), "Content-Encoding", "gzip"))
		if a, err := c.Do(t.Context(), r); err != nil || string(a.Body) != `{"value":[]}` {
			t.Errorf("zipped answer: %v", err)
		}
	})
}
