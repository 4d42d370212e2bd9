package httpjson

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSecret bounds a secret in bytes; header blocks of servers are not larger.
const maxSecret = 8 << 10

type credentialKind uint8

const (
	noCredential credentialKind = iota
	bearerText
	bearerFile
	basic
	basicFile
	oauth
)

// credential is how we sign in. It is immutable; printing it shows no secret.
type credential struct {
	kind credentialKind
	user string
	text string // the secret, or the path of its file

	tokens *tokens // of oauth
}

func newCredential(o *Options) (credential, error) {
	var found []credential
	if o.Bearer != "" {
		found = append(found, credential{kind: bearerText, text: o.Bearer})
	}
	if o.BearerFile != "" {
		found = append(found, credential{kind: bearerFile, text: o.BearerFile})
	}
	if o.PasswordFile != "" {
		found = append(found, credential{kind: basicFile, user: o.Username, text: o.PasswordFile})
	}
	if o.Password != "" || o.Username != "" && o.PasswordFile == "" {
		found = append(found, credential{kind: basic, user: o.Username, text: o.Password})
	}
	if o.ClientCredentials != nil {
		t, err := newTokens(o.ClientCredentials)
		if err != nil {
			return credential{}, err
		}
		found = append(found, credential{kind: oauth, user: o.ClientCredentials.ClientID, tokens: t})
	}
	if len(found) > 1 {
		return credential{}, errors.New("more than one of bearer token, password and client credentials, or of a secret and its file")
	}
	if len(found) == 0 {
		return credential{}, nil
	}
	c := found[0]
	switch {
	case c.kind == bearerText && checkToken(c.text) != nil:
		return credential{}, checkToken(c.text)
	case c.kind != basic && c.kind != basicFile:
	case c.user == "" || c.text == "":
		return credential{}, errors.New("user and password are needed together")
	case strings.ContainsRune(c.user, ':'):
		return credential{}, errors.New("user name contains a colon") // RFC 7617 section 2
	}
	return c, nil
}

// String names the credential for an error.
func (c credential) String() string {
	switch c.kind {
	case bearerText:
		return "the bearer token"
	case bearerFile:
		return "the bearer token of file " + c.text
	case basic, basicFile:
		return "the user " + strconv.Quote(c.user)
	case oauth:
		return "the client " + strconv.Quote(c.user)
	case noCredential:
	}
	return "a request without a credential"
}

// GoString keeps %#v from showing the secret.
func (c credential) GoString() string { return c.String() }

// apply signs a request. It returns the token that it used.
func (c credential) apply(req *http.Request, by *client) (token string, err error) {
	switch c.kind {
	case noCredential:
		return "", nil
	case basic:
		req.SetBasicAuth(c.user, c.text)
		return "", nil
	case basicFile:
		password, err := readSecret(c.text)
		if err != nil {
			return "", fmt.Errorf("password file: %w", err)
		}
		req.SetBasicAuth(c.user, password)
		return "", nil
	case bearerText:
		token = c.text
	case bearerFile:
		if token, err = readToken(c.text); err != nil {
			return "", fmt.Errorf("bearer token file: %w", err)
		}
	case oauth:
		if token, err = c.tokens.get(req.Context(), by); err != nil {
			return "", err
		}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return token, nil
}

// readToken reads a token from a file. A file that is being written gives an
// error or a token that the service refuses; the next request reads it again.
func readToken(path string) (string, error) {
	text, err := readFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(text)
	return token, checkToken(token)
}

// readSecret reads a password from a file. Spaces may belong to it, line ends at
// its end do not.
func readSecret(path string) (string, error) {
	text, err := readFile(path)
	secret := strings.TrimRight(text, "\r\n")
	switch {
	case err != nil:
		return "", err
	case secret == "":
		return "", fmt.Errorf("%s is empty", path)
	case len(secret) > maxSecret:
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxSecret)
	}
	return secret, nil
}

// readFile reads a regular file, or enough of a larger one to see that it is.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	return string(b), err
}

// checkToken accepts what can stand in a header as one word.
func checkToken(s string) error {
	switch {
	case s == "":
		return errors.New("bearer token is empty")
	case len(s) > maxSecret:
		return fmt.Errorf("bearer token is longer than %d bytes", maxSecret)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("bearer token contains spaces or characters beyond ASCII")
	}
	return nil
}

// forbidden are the headers that belong to the transport. Host would ask another
// service than the URL names; Accept-Encoding would switch decompression off.
var forbidden = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Accept-Encoding",
	"Proxy-Authorization", "Expect",
}

// newHeader checks the configured header fields and adds ours.
func newHeader(fields map[string]string, signed bool) (http.Header, error) {
	h := http.Header{"Accept": {"application/json"}, "User-Agent": {"gatehouse"}}
	for name, value := range fields {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case name == "" || strings.ContainsFunc(name, notToken):
			return nil, fmt.Errorf("header name %.40q is malformed", name)
		case slices.Contains(forbidden, canonical):
			return nil, fmt.Errorf("header %s cannot be set", canonical)
		case canonical == "Authorization" && signed:
			return nil, errors.New("header Authorization and a credential exclude each other")
		case len(value) > maxSecret || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return nil, fmt.Errorf("value of header %s is malformed", canonical)
		case canonical != "Accept" && canonical != "User-Agent" && h.Get(canonical) != "":
			return nil, fmt.Errorf("header %s is there twice", canonical)
		}
		h.Set(canonical, value)
	}
	return h, nil
}

// notToken reports what no header name contains (RFC 9110 section 5.6.2).
func notToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// maxRetryAfter bounds what a service can ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads how long to wait (RFC 9110 section 10.2.3): seconds, which
// some services write with a fraction, or a date. 0 if it is absent or odd.
func retryAfter(h http.Header, now time.Time) time.Duration {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(f) || f <= 0 {
			return 0
		}
		return time.Duration(min(f, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent // by the service's own clock
	}
	return max(0, min(t.Sub(now), maxRetryAfter))
}
