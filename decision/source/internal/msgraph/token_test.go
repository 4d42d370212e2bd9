package msgraph

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

func do(t *testing.T, c *Client) error {
	t.Helper()
	_, err := c.Do(t.Context(), devices())
	return err
}

// A token serves until five minutes before it expires, for all endpoints of its
// resource and for no other resource.
func TestTokenIsKeptAndRenewed(t *testing.T) {
	f := &fake{}
	inBubble(t, f, func(t *testing.T, c *Client) {
		for _, step := range []struct {
			pass time.Duration
			want int
		}{{0, 1}, {54 * time.Minute, 1}, {2 * time.Minute, 2}, {time.Hour, 3}} {
			time.Sleep(step.pass)
			if err := do(t, c); err != nil {
				t.Fatal(err)
			}
			if got := len(f.tokens()); got != step.want {
				t.Fatalf("%d token requests after %v more, want %d", got, step.pass, step.want)
			}
		}
		for _, r := range []Request{{Endpoint: IntuneDevices, Path: "/v1.0/deviceManagement/managedDevices"}, {Endpoint: DefenderMachines, Path: "/api/machines"}, {Endpoint: NACDevice, Path: "https://fef.msua01.manage.microsoft.com/x", Accept: "application/xml"}} {
			if _, err := c.Do(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		var scopes []string
		for _, form := range f.tokens() {
			scope, _, _ := strings.Cut(form.Get("scope"), " ")
			scopes = append(scopes, scope)
		}
		want := "https://graph.microsoft.com/.default https://graph.microsoft.com/.default https://graph.microsoft.com/.default " +
			"https://api.securitycenter.microsoft.com/.default https://api.manage.microsoft.com//.default"
		if got := strings.Join(scopes, " "); got != want {
			t.Errorf("scopes %s, want %s", got, want)
		}
	})
}

func TestManyCallersShareOneTokenRequest(t *testing.T) {
	f := &fake{}
	f.sign = func(url.Values) (*http.Response, error) {
		time.Sleep(time.Second)
		return goodToken("t", time.Hour), nil
	}
	inBubble(t, f, func(t *testing.T, c *Client) {
		// One that gives up does not cost the others their token.
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			_, err := c.Do(hasty, devices())
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("hasty caller got %v", err)
			}
		})
		for range 20 {
			all.Go(func() {
				if err := do(t, c); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := len(f.tokens()); got != 1 {
			t.Errorf("%d token requests, want 1", got)
		}
	})
}

// A wrong secret does not mend itself: calls fail at once, and the token
// endpoint is asked after 30 s, a minute, two, up to a quarter of an hour.
func TestConfigurationErrorIsNotAStorm(t *testing.T) {
	f := &fake{}
	f.sign = func(url.Values) (*http.Response, error) {
		return signInError(401, 7000215, "Invalid client secret provided."), nil
	}
	inBubble(t, f, func(t *testing.T, c *Client) {
		var at []time.Duration
		start := time.Now()
		for len(at) < 8 {
			before := len(f.tokens())
			e := wantKind(t, do(t, c), KindConfig)
			if !errors.Is(e, source.ErrNotAccepted) {
				t.Errorf("%v does not count as a credential that is not accepted", e)
			}
			if e.Code != "AADSTS7000215" || e.Endpoint != DirectoryDevices {
				t.Fatalf("error %+v", e)
			}
			if len(f.tokens()) > before {
				at = append(at, time.Since(start).Round(time.Second))
			}
			time.Sleep(time.Second)
		}
		want := []time.Duration{0, 30, 90, 210, 450, 930, 1830, 2730}
		for i := range want {
			if at[i] != want[i]*time.Second {
				t.Fatalf("token requests at %v, want %v (s)", at, want)
			}
		}
		// The circuit of the endpoint is not to blame.
		f.sign = nil
		time.Sleep(15 * time.Minute)
		if err := do(t, c); err != nil {
			t.Error(err)
		}
	})
}

func TestUnavailableTokenEndpoint(t *testing.T) {
	f := &fake{}
	down := errors.New("connection refused")
	f.sign = func(url.Values) (*http.Response, error) { return nil, down }
	inBubble(t, f, func(t *testing.T, c *Client) {
		e := wantKind(t, do(t, c), KindUnavailable)
		if !errors.Is(e, down) || !strings.Contains(e.Message, "connection refused") {
			t.Errorf("error %v does not say why", e)
		}
		before := len(f.tokens())
		for range 50 {
			wantKind(t, do(t, c), KindUnavailable)
		}
		if more := len(f.tokens()) - before; more > 1 {
			t.Errorf("%d token requests for 50 calls in no time, want at most 1", more)
		}
		f.sign = nil
		time.Sleep(time.Minute)
		if err := do(t, c); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}

// While a renewal fails, the old token serves as long as it is good.
func TestOldTokenOutlivesAnOutage(t *testing.T) {
	f := &fake{}
	inBubble(t, f, func(t *testing.T, c *Client) {
		if err := do(t, c); err != nil {
			t.Fatal(err)
		}
		f.sign = func(url.Values) (*http.Response, error) { return answer(503, ``), nil }
		for range 4 {
			time.Sleep(14 * time.Minute) // 14, 28, 42, 56 minutes
			if err := do(t, c); err != nil {
				t.Fatalf("after %v: %v", time.Duration(14)*time.Minute, err)
			}
		}
		time.Sleep(4 * time.Minute)
		wantKind(t, do(t, c), KindUnavailable)
	})
}

func TestThrottledTokenEndpoint(t *testing.T) {
	f := &fake{}
	f.sign = func(url.Values) (*http.Response, error) { return answer(429, `{}`, "Retry-After", "40"), nil }
	inBubble(t, f, func(t *testing.T, c *Client) {
		err := do(t, c)
		wantKind(t, err, KindThrottled)
		var throttled *source.ThrottledError
		if !errors.As(err, &throttled) || throttled.RetryAfter != 40*time.Second {
			t.Errorf("error %v, want a wait of 40 s", err)
		}
		time.Sleep(39 * time.Second)
		_ = do(t, c)
		if got := len(f.tokens()); got != 1 {
			t.Errorf("%d token requests within the wait, want 1", got)
		}
		time.Sleep(2 * time.Second)
		f.sign = nil
		if err := do(t, c); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	f := &fake{serve: inOrder(with(401, `{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}`), with(200, `{}`))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		if err := do(t, c); err != nil {
			t.Fatal(err)
		}
		calls := f.seen()
		if len(calls) != 2 || calls[0].header.Get("Authorization") != "Bearer t1" || calls[1].header.Get("Authorization") != "Bearer t2" {
			t.Errorf("calls %+v, want one with each of two tokens", calls)
		}
	})
}

// A service that refuses every token gets one new one per half minute, not one
// per call, and after five refusals no calls at all.
func TestRefusedTokensAreNotAStorm(t *testing.T) {
	f := &fake{serve: inOrder(with(401, `{"error":{"code":"InvalidAuthenticationToken"}}`))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		for range 5 {
			wantKind(t, do(t, c), KindUnauthorized)
		}
		if got := len(f.tokens()); got != 2 {
			t.Errorf("%d token requests, want 2", got)
		}
		before := len(f.seen())
		e := wantKind(t, do(t, c), KindUnavailable)
		if len(f.seen()) != before || e.Code != "InvalidAuthenticationToken" {
			t.Errorf("open circuit: %d calls, error %v", len(f.seen())-before, e)
		}
	})
}

func TestClaimsChallengeIsAnswered(t *testing.T) {
	claims := `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
	challenge := `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="` +
		base64.StdEncoding.EncodeToString([]byte(claims)) + `"`
	f := &fake{serve: inOrder(with(401, `{}`, "WWW-Authenticate", challenge), with(200, `{}`))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		if err := do(t, c); err != nil {
			t.Fatal(err)
		}
		forms := f.tokens()
		if len(forms) != 2 || forms[0].Get("claims") != "" || !strings.Contains(forms[1].Get("claims"), "1700000000") {
			t.Errorf("token requests %v, want the second with the claims", forms)
		}
	})
}

func TestTokenClaims(t *testing.T) {
	f := &fake{}
	f.sign = func(url.Values) (*http.Response, error) {
		return goodToken(rawToken(map[string]any{"roles": []string{"Device.Read.All"}, "tid": testTenant, "appid": testClient, "aud": "https://graph.microsoft.com"}), time.Hour), nil
	}
	inBubble(t, f, func(t *testing.T, c *Client) {
		got, expires, err := c.Token(t.Context(), Graph)
		if err != nil || len(got.Roles) != 1 || got.Roles[0] != "Device.Read.All" || got.TenantID != testTenant || got.AppID != testClient || got.Audience != "https://graph.microsoft.com" {
			t.Errorf("Token() = %+v, %v", got, err)
		}
		if left := time.Until(expires); left < 59*time.Minute || left > time.Hour {
			t.Errorf("expires in %v, want an hour", left)
		}
		f.sign = func(url.Values) (*http.Response, error) { return goodToken("opaque", time.Hour), nil }
		if got, _, err = c.Token(t.Context(), Defender); err != nil || got.Roles != nil || got.Audience != "" {
			t.Errorf("opaque token: %+v, %v; want nothing", got, err)
		}
		if _, _, err = c.Token(t.Context(), numResources); err == nil {
			t.Error("a token of no resource")
		}
	})
}

func TestTokenThatExpiresAtOnceIsRefused(t *testing.T) {
	f := &fake{}
	f.sign = func(url.Values) (*http.Response, error) { return goodToken("t", 10*time.Second), nil }
	inBubble(t, f, func(t *testing.T, c *Client) {
		wantKind(t, do(t, c), KindAnswer)
		before := len(f.tokens())
		wantKind(t, do(t, c), KindAnswer)
		if len(f.tokens()) != before {
			t.Error("asked again at once")
		}
	})
}

func TestShortTokenIsRenewedAtHalfItsLife(t *testing.T) {
	f := &fake{}
	f.sign = func(url.Values) (*http.Response, error) { return goodToken("t", 6*time.Minute), nil }
	inBubble(t, f, func(t *testing.T, c *Client) {
		for range 4 {
			if err := do(t, c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if got := len(f.tokens()); got != 2 {
			t.Errorf("%d token requests in four minutes, want 2", got)
		}
	})
}

func TestCloseEndsTokenRequests(t *testing.T) {
	f := &fake{}
	asked := make(chan struct{})
	hang := &hanging{fake: f, asked: asked}
	o := f.options()
	o.Transport = hang
	c := newClient(t, o)
	failed := make(chan error)
	go func() {
		_, err := c.Do(context.Background(), devices())
		failed <- err
	}()
	<-asked
	c.Close()
	wantKind(t, <-failed, KindUnavailable)
	_, err := c.Do(t.Context(), devices())
	wantKind(t, err, KindUnavailable)
}

// A defect of the token library costs one request, not the process.
func TestTokenPanicIsAnError(t *testing.T) {
	f := &fake{}
	f.sign = func(url.Values) (*http.Response, error) { panic("defect") }
	inBubble(t, f, func(t *testing.T, c *Client) {
		if e := wantKind(t, do(t, c), KindUnavailable); !strings.Contains(e.Error(), "panicked: defect") {
			t.Errorf("error %q", e.Error())
		}
		f.sign = nil
		time.Sleep(time.Minute)
		if err := do(t, c); err != nil {
			t.Error(err)
		}
	})
}

// hanging never answers a token request.
type hanging struct {
	*fake
	asked chan struct{}
}

func (h *hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		close(h.asked)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return h.fake.RoundTrip(r)
}

func TestSignInErrorsNameTheFix(t *testing.T) {
	tests := []struct {
		status, code int
		want         string
	}{
		{401, 7000215, "secret's value"},
		{401, 7000222, "has expired"},
		{401, 700027, "register the certificate"},
		{401, 700024, "clock"},
		{400, 700016, "client id"},
		{400, 90002, "tenant"},
		{400, 500011, "licence"},
		{400, 53003, "conditional access"},
		{400, 4242, "check tenant, client id and credential"},
	}
	for _, tt := range tests {
		f := &fake{}
		f.sign = func(url.Values) (*http.Response, error) { return signInError(tt.status, tt.code, "Something."), nil }
		inBubble(t, f, func(t *testing.T, c *Client) {
			e := wantKind(t, do(t, c), KindConfig)
			if !strings.Contains(e.Error(), tt.want) || strings.Contains(e.Error(), "\n") || strings.Contains(e.Error(), "Trace ID") {
				t.Errorf("AADSTS%d: %q does not name the fix in one line: %q", tt.code, e.Error(), tt.want)
			}
		})
	}
}

func TestTokenEndpointGarbage(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func() (*http.Response, error)
		want   Kind
	}{
		"html 200":  {with(200, `<html>login</html>`, "Content-Type", "text/html"), KindAnswer},
		"empty 200": {with(200, ``), KindAnswer},
		"no token":  {with(200, `{}`), KindAnswer},
		"html 403":  {with(403, `<!DOCTYPE html><p>blocked</p>`, "Content-Type", "text/html"), KindAnswer},
		"500":       {with(500, `oops`), KindUnavailable},
		"redirect":  {with(302, ``, "Location", "https://elsewhere.example/"), KindAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			f.sign = func(url.Values) (*http.Response, error) { return tt.answer() }
			inBubble(t, f, func(t *testing.T, c *Client) { wantKind(t, do(t, c), tt.want) })
		})
	}
}
