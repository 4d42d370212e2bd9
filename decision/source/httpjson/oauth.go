package httpjson

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// ClientCredentials get short-lived bearer tokens with a client secret (RFC 6749
// section 4.4). The client signs in with client_id and client_secret in the body,
// which is what device management services expect.
type ClientCredentials struct {
	// TokenURL is the token endpoint: https, or http on this machine. It need
	// not be of the origin of the service.
	TokenURL     string
	ClientID     string
	ClientSecret string
	// SecretFile holds the secret instead. It is read at every sign-in.
	SecretFile string
	// Scope is sent if it is not empty: names with spaces in between.
	Scope string
}

const (
	maxTokenBody = 64 << 10
	// tokenLife is how long a token of unknown life is used.
	tokenLife = 5 * time.Minute
	// tokenRest is how long a refused sign-in is not tried again: a wrong
	// secret must not lock the client out.
	tokenRest = 10 * time.Second
)

// tokens keeps the present token. It is safe for concurrent use.
type tokens struct {
	o    ClientCredentials
	busy chan struct{} // held by whoever reads or renews; a channel, so that waiting ends with a context

	token   string
	renew   time.Time // from when on a new token is needed
	refused error     // of the last sign-in, until renew
}

func newTokens(o *ClientCredentials) (*tokens, error) {
	if o.ClientID == "" || (o.ClientSecret == "") == (o.SecretFile == "") {
		return nil, errors.New("client credentials need a client id and a client secret, or the file of one")
	}
	u, err := url.Parse(o.TokenURL)
	if err != nil {
		return nil, errors.New("token url is not a URL")
	}
	if err := checkURL(u); err != nil {
		return nil, fmt.Errorf("token url: %w", err)
	}
	return &tokens{o: *o, busy: make(chan struct{}, 1)}, nil
}

// get returns a token that is still good, and signs in for one if need be.
// Callers that come meanwhile wait for the same answer.
func (t *tokens) get(ctx context.Context, c *client) (string, error) {
	select {
	case t.busy <- struct{}{}:
		defer func() { <-t.busy }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	now := time.Now()
	if now.Before(t.renew) {
		return t.token, t.refused
	}
	token, life, err := t.fetch(ctx, c)
	if err != nil {
		err = fmt.Errorf("sign-in of client %q: %w", t.o.ClientID, err)
		if ctx.Err() == nil { // else the caller had no time, which is nobody's answer
			t.token, t.refused, t.renew = "", err, now.Add(tokenRest)
		}
		return "", err
	}
	t.token, t.refused, t.renew = token, nil, now.Add(life)
	return token, nil
}

// drop forgets a token that the service refused, unless there is a newer one.
func (t *tokens) drop(ctx context.Context, token string) {
	select {
	case t.busy <- struct{}{}:
		defer func() { <-t.busy }()
	case <-ctx.Done():
		return
	}
	if t.token == token {
		t.token, t.renew = "", time.Time{}
	}
}

// fetch signs in. The life that it returns ends a little early, so that no
// request is under way with a token that just expired.
func (t *tokens) fetch(ctx context.Context, c *client) (token string, life time.Duration, err error) {
	secret := t.o.ClientSecret
	if t.o.SecretFile != "" {
		if secret, err = readSecret(t.o.SecretFile); err != nil {
			return "", 0, fmt.Errorf("client secret file: %w", err)
		}
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {t.o.ClientID}, "client_secret": {secret},
	}
	if t.o.Scope != "" {
		form.Set("scope", t.o.Scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.o.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, errors.New("token url is not a URL")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.header.Get("User-Agent"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	doc, err := c.do(req, &document{limit: maxTokenBody}, http.StatusOK, http.StatusCreated)
	if errors.Is(err, errBadRequest) { // RFC 6749 section 5.2
		err = &denial{err.Error() + ": it does not accept the client or the scope", source.ErrNotAccepted}
	}
	if errors.Is(err, errNotFound) { // here it says nothing about a device
		err = errors.New("the token url or the client is wrong")
	}
	if err != nil {
		return "", 0, err
	}
	m, ok := doc.(map[string]any)
	if !ok {
		return "", 0, errors.New("answer is no object")
	}
	token, _ = m["access_token"].(string)
	if err := checkToken(token); err != nil {
		return "", 0, err
	}
	if kind, _ := m["token_type"].(string); !strings.EqualFold(kind, "bearer") && kind != "" {
		return "", 0, fmt.Errorf("token is of the type %.20q, not Bearer", kind)
	}
	life = tokenLife
	if n, ok := m["expires_in"].(int64); ok && n > 0 {
		life = time.Duration(min(n, 24*3600)) * time.Second
	}
	return token, life - min(life/5, time.Minute), nil
}
