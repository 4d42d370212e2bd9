package configmgr

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// Auth says how to sign in: exactly one member is set. None is accepted only for a
// URL on this machine, where a proxy signs in.
type Auth struct {
	Negotiate *Negotiate
	Bearer    *Bearer
	Basic     *Basic
}

// Bearer sends a token that somebody else keeps in a file. The file is read for
// every request, so that a new token needs no restart.
type Bearer struct {
	File string
}

// Basic sends a name and a password: for a lab, or a reverse proxy.
type Basic struct {
	Username string
	// Password, or the file that holds it; the file is read for every request.
	Password     string
	PasswordFile string
}

// authorizer makes the Authorization header of one request.
type authorizer interface {
	// header returns "" if there is nothing to send.
	header(ctx context.Context) (string, error)
	// again is called when the server refused a header, and reports whether
	// another one is worth a try.
	again() bool
}

func (a Auth) authorizer(base *url.URL) (authorizer, error) {
	n := 0
	for _, set := range []bool{a.Negotiate != nil, a.Bearer != nil, a.Basic != nil} {
		if set {
			n++
		}
	}
	switch {
	case n > 1:
		return nil, errors.New("more than one way to sign in; choose one of negotiate, bearer and basic")
	case a.Negotiate != nil:
		return newNegotiator(*a.Negotiate, base)
	case a.Bearer != nil:
		if a.Bearer.File == "" {
			return nil, errors.New("bearer: no file")
		}
		return bearerAuth(*a.Bearer), nil
	case a.Basic != nil:
		return newBasic(*a.Basic)
	case !isLoopback(base):
		return nil, errors.New("no way to sign in; choose one of negotiate, bearer and basic")
	}
	return nobody{}, nil
}

func newBasic(b Basic) (authorizer, error) {
	if b.Username == "" || strings.Contains(b.Username, ":") {
		return nil, errors.New("basic: user name is empty or contains a colon")
	}
	if (b.Password == "") == (b.PasswordFile == "") {
		return nil, errors.New("basic: exactly one of password and password file is needed")
	}
	return basicAuth(b), nil
}

type nobody struct{}

func (nobody) header(context.Context) (string, error) { return "", nil }
func (nobody) again() bool                            { return false }

type bearerAuth Bearer

func (b bearerAuth) header(context.Context) (string, error) {
	token, err := readSecret("bearer token", b.File)
	if err != nil {
		return "", err
	}
	return "Bearer " + token, nil
}

func (bearerAuth) again() bool { return false }

type basicAuth Basic

func (b basicAuth) header(context.Context) (string, error) {
	password := b.Password
	if b.PasswordFile != "" {
		var err error
		password, err = readSecret("password", b.PasswordFile)
		if err != nil {
			return "", err
		}
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(b.Username+":"+password)), nil
}

func (basicAuth) again() bool { return false }

const maxSecret = 64 << 10

// readSecret reads a one-line secret. Its errors never show the content.
func readSecret(what, file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	s := strings.TrimSpace(string(b))
	switch {
	case s == "":
		return "", fmt.Errorf("%s file %s is empty", what, file)
	case len(b) > maxSecret:
		return "", fmt.Errorf("%s file %s is larger than %d KiB", what, file, maxSecret>>10)
	case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "", fmt.Errorf("%s file %s has more than one line or control characters", what, file)
	}
	return s, nil
}
