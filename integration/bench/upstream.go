package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// bodySize is what the upstream answers.
const bodySize = 1 << 10

// serveUpstream is the app behind every contestant: it reads a request's head
// and writes the same kibibyte. It is written on the bare socket so that it takes
// as little of the machine as possible. Requests with a body are not understood.
func serveUpstream() error {
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", bodySize)
	answer = append(answer, bytes.Repeat([]byte("x"), bodySize)...)
	return serve(func(c net.Conn) error {
		r := bufio.NewReaderSize(c, 16<<10)
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return err
			}
			if len(line) > 2 {
				continue
			}
			_, err = c.Write(answer)
			if err != nil {
				return err
			}
		}
	})
}

// endWithParent ends this process when the benchmark is gone.
func endWithParent() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}

// serve announces a free port on standard output and runs each connection.
func serve(one func(net.Conn) error) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	endWithParent()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			err := one(c)
			if err != nil && err != io.EOF {
				fmt.Fprintln(os.Stderr, "upstream:", err)
			}
		}()
	}
}

// serveAuthoriser is what a network team would put behind Caddy's forward_auth:
// it checks the token once, remembers the answer by the whole token, and from
// then on costs one map look-up. It knows nothing of devices.
func serveAuthoriser(keyFile string) error {
	key, err := readPublicKey(keyFile)
	if err != nil {
		return err
	}
	var known sync.Map // token to user
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(audience), jwt.WithIssuer(issuerURL))
	check := func(raw string) (string, bool) {
		if user, ok := known.Load(raw); ok {
			return user.(string), true
		}
		claims := jwt.MapClaims{}
		_, err := parser.ParseWithClaims(raw, claims, func(*jwt.Token) (any, error) { return key, nil })
		user, _ := claims["preferred_username"].(string)
		if err != nil || user == "" {
			return "", false
		}
		known.Store(strings.Clone(raw), user)
		return user, true
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	endWithParent()
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		user, ok := check(raw)
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header()["Remote-User"] = []string{user}
	}))
}
