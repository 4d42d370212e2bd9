package msgraph

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Whatever the services answer, neither an error nor the log repeats a secret or
// a token.
func TestNothingRepeatsSecrets(t *testing.T) {
	token := rawToken(map[string]any{"roles": []string{"x"}})
	echo := `{"error":{"code":"` + token + `","message":"header was Bearer ` + token + ` and secret ` + testSecret + `","innerError":{"request-id":"` + token + `"}}}`
	for name, tt := range map[string]struct {
		sign  func(url.Values) (*http.Response, error)
		serve func() (*http.Response, error)
	}{
		"sign-in echoes the request": {sign: func(form url.Values) (*http.Response, error) {
			return signInError(401, 7000215, "Invalid "+form.Get("client_secret")+" and "+form.Encode()), nil
		}},
		"sign-in echoes it in a page": {sign: func(form url.Values) (*http.Response, error) { return answer(502, form.Encode()), nil }},
		"network error": {sign: func(form url.Values) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: "https://x/?" + form.Encode(), Err: errors.New("refused")}
		}},
		"garbage token answer": {sign: func(form url.Values) (*http.Response, error) { return answer(200, form.Encode()), nil }},
		"400":                  {serve: with(400, echo)},
		"401":                  {serve: with(401, echo)},
		"403":                  {serve: with(403, echo)},
		"500":                  {serve: with(500, echo)},
		"200 garbage":          {serve: with(200, token)},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			f.sign = func(url.Values) (*http.Response, error) { return goodToken(token, time.Hour), nil }
			if tt.sign != nil {
				f.sign = tt.sign
			}
			if tt.serve != nil {
				f.serve = inOrder(tt.serve)
			}
			inBubble(t, f, func(t *testing.T, c *Client) {
				err := do(t, c)
				if err == nil {
					t.Fatal("no error")
				}
				all := fmt.Sprintf("%v\n%+v\n%s", err, asError(t, err), f.log())
				for _, secret := range []string{testSecret, url.QueryEscape(testSecret), token, strings.Split(token, ".")[1]} {
					if strings.Contains(all, secret) {
						t.Errorf("%q is repeated in %s", secret, all)
					}
				}
			})
		})
	}
}

func TestDownload(t *testing.T) {
	const link = "https://amsua01.blob.core.windows.net/export/x.zip?sv=1&sig=c2lnbmF0dXJl"
	f := &fake{serve: inOrder(with(200, "PK-data", "Content-Type", "application/octet-stream"))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		got, err := c.Download(t.Context(), Reports, link, 0)
		if err != nil || string(got) != "PK-data" {
			t.Fatalf("Download() = %q, %v", got, err)
		}
		if call := f.seen()[0]; call.header.Get("Authorization") != "" || call.url != link || len(f.tokens()) != 0 {
			t.Errorf("call %+v", call)
		}
		if _, err = c.Download(t.Context(), Reports, "https://graph.microsoft.com/x.zip", 3); err == nil {
			t.Error("no bound")
		}
		for _, bad := range []string{"http://a.blob.core.windows.net/x", "https://blob.core.windows.net.example.com/x", "https://evil.example/x?sig=c2lnbmF0dXJl", "https://a.blob.core.windows.net:444/x", ":"} {
			_, err = c.Download(t.Context(), Reports, bad, 0)
			if wantKind(t, err, KindAnswer); strings.Contains(err.Error(), "c2lnbmF0dXJl") {
				t.Errorf("error %q repeats the link", err)
			}
		}
		for _, answer := range []func() (*http.Response, error){
			with(403, `<Error>sig=c2lnbmF0dXJl</Error>`), with(200, `<html>sign in</html>`),
			failing(&url.Error{Op: "Get", URL: link, Err: errors.New("reset")}), cutOff,
		} {
			f.serve = inOrder(answer)
			_, err = c.Download(t.Context(), Reports, link, 0)
			if err == nil || strings.Contains(err.Error(), "c2lnbmF0dXJl") {
				t.Errorf("error %v", err)
			}
		}
	})
}
