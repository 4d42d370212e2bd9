package msgraph

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTokenStates(t *testing.T) {
	f := &fake{}
	f.sign = func(url.Values) (*http.Response, error) {
		return signInError(401, 7000215, "Invalid client secret provided."), nil
	}
	inBubble(t, f, func(t *testing.T, c *Client) {
		if got := c.Tokens(); len(got) != 0 {
			t.Errorf("before the first call: %+v", got)
		}
		wantKind(t, do(t, c), KindConfig)
		got := c.Tokens()
		if len(got) != 1 {
			t.Fatalf("got %+v", got)
		}
		if s := got[0]; s.Resource != "graph" || s.Usable || s.Failures != 1 || s.Failure != "config" || s.Error == "" || !s.RetryAt.After(time.Now()) || !s.Expires.IsZero() {
			t.Errorf("a wrong secret: %+v", s)
		}
		f.sign = nil
		time.Sleep(time.Minute)
		if err := do(t, c); err != nil {
			t.Fatal(err)
		}
		if s := c.Tokens()[0]; !s.Usable || s.Failures != 0 || s.Failure != "" || s.Error != "" || s.Expires.IsZero() {
			t.Errorf("after the repair: %+v", s)
		}
	})
}

// TestTokenFailuresAreClosed: what a token request can fail with has a series.
func TestTokenFailuresAreClosed(t *testing.T) {
	for _, name := range TokenFailures() {
		known := false
		for k := range numKinds {
			known = known || k.String() == name
		}
		if !known {
			t.Errorf("no kind is called %q", name)
		}
	}
}

func TestCircuits(t *testing.T) {
	f := &fake{serve: func(*http.Request) (*http.Response, error) { return with(200, "<html>")() }}
	var failures []string
	inBubble(t, f, func(t *testing.T, c *Client) {
		c.o.Observe = func(k Call) { failures = append(failures, k.Failure) }
		for range breakerRow + 1 {
			asError(t, do(t, c))
		}
		open := 0
		for _, s := range c.Circuits() {
			if s.State == "open" {
				open++
				if s.Endpoint != "directory_devices" || s.Error == "" || strings.Contains(s.Error, "\n") {
					t.Errorf("got %+v", s)
				}
			} else if s.Error != "" {
				t.Errorf("a closed circuit with an error: %+v", s)
			}
		}
		if open != 1 || len(c.Circuits()) != len(EndpointNames()) {
			t.Errorf("%d of %d circuits are open", open, len(c.Circuits()))
		}
		if len(failures) != breakerRow || failures[0] != "answer" {
			t.Errorf("observed %q", failures)
		}
	})
}
