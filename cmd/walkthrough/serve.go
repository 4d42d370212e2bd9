package walkthrough

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// UsualPort of the gateway is tried first; the printed commands are then the same
// every time.
const UsualPort = 9080

// Port finds a port on 127.0.0.1 for the gateway. One that was asked for must be
// free; with 0 it is [UsualPort], or any other.
func Port(want int) (int, error) {
	if want != 0 {
		port, err := FreePort(want)
		if err != nil {
			return 0, fmt.Errorf("port %d: %w; choose another one with --port", want, err)
		}
		return port, nil
	}
	port, err := FreePort(UsualPort)
	if err != nil {
		port, err = FreePort(0)
	}
	return port, err
}

// FreePort finds a port on 127.0.0.1 that was free a moment ago: this one, or any
// with 0.
func FreePort(want int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(want)))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Serve runs a small server until stop is called.
func Serve(l net.Listener, h http.Handler) (stop func()) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 64 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with Close
	}()
	return func() {
		_ = srv.Close()
		<-done
	}
}

// App is the app behind the gateway. It says what the gateway told it.
func App(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "The app says hello to %s on device %s (%s).\n",
		cmp.Or(r.Header.Get("Remote-User"), "somebody"), r.Header.Get("X-Device-Id"), r.Header.Get("X-Device-Compliance"))
}

// WaitAllowed asks until the answer is 200: keys and devices arrive in the
// background. headerFile holds one header line, as curl reads it. The error is of ctx.
func WaitAllowed(ctx context.Context, url, headerFile string) error {
	raw, err := os.ReadFile(headerFile)
	if err != nil {
		return err
	}
	name, value, ok := strings.Cut(strings.TrimSpace(string(raw)), ": ")
	if !ok {
		return errors.New("no header in " + headerFile)
	}
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		req.Header.Set(name, value)
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Tail is the end of a log, for an error: the file itself goes away.
func Tail(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-2000):])
}
