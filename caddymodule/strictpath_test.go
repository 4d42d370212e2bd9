package caddymodule

import (
	"net/http"
	"testing"
)

func TestAmbiguousPath(t *testing.T) {
	tests := map[string]bool{
		"/": false, "": false, "*": false, "/a/b": false, "/a/b/": false, "/a.b/c..d/.x": false,
		"/.well-known/x": false, "/a%20b": false, "/%C3%BC": false, "/a:b": false, "/a=b,c@d": false, "/~user": false,

		"a": true, "/a/../b": true, "/..": true, "/.": true, "/a/./b": true, "/a//b": true, "//a": true,
		"/a/%2e%2e/b": true, "/a/%2E%2E/b": true, "/a/.%2e/b": true, "/%2e": true,
		"/a%2fb": true, "/a%2Fb": true, "/a%5cb": true, "/a\\b": true, "/a;b=c/d": true, "/x/..;/y": true,
		"/a%3bb": true, "/a%00": true, "/a%0d%0a": true, "/a%252e": true, "/a%7f": true, "/a%": true, "/a%2": true,
		"/a\x01b": true,
		"/a./b":   true, "/a%20/b": true, "/a ": true, "/..%20/b": true, "/a...": true, "/a::$DATA": true, "/a:$x": true,
		"/%c0%ae%c0%ae/b": true, "/..%c0%afb": true, "/..%ef%bc%8fb": true, "/a/\uff0e\uff0e/b": true, "/\xff": true,
	}
	for path, want := range tests {
		if got := ambiguousPath(path); got != want {
			t.Errorf("ambiguousPath(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestMethodAllowed(t *testing.T) {
	tests := []struct {
		r    http.Request
		want bool
	}{
		{http.Request{Method: "GET", ProtoMajor: 1}, true},
		{http.Request{Method: "PROPFIND", ProtoMajor: 1}, true},
		{http.Request{Method: "get", ProtoMajor: 1}, false},
		{http.Request{Method: "TRACE", ProtoMajor: 1}, false},
		{http.Request{Method: "GETX", ProtoMajor: 1}, false},
		{http.Request{Method: "CONNECT", ProtoMajor: 1}, false},
		{http.Request{Method: "CONNECT", ProtoMajor: 2}, false},
		{http.Request{Method: "CONNECT", ProtoMajor: 2, Header: http.Header{":protocol": {"websocket"}}}, true},
		{http.Request{Method: "CONNECT", ProtoMajor: 2, Header: http.Header{":protocol": {"webtransport"}}}, false},
		{http.Request{Method: "CONNECT", ProtoMajor: 1, Header: http.Header{":protocol": {"websocket"}}}, false},
		{http.Request{Method: "CONNECT", ProtoMajor: 3, Proto: "websocket"}, true},
		{http.Request{Method: "CONNECT", ProtoMajor: 3, Proto: "HTTP/3.0"}, false},
	}
	for _, tc := range tests {
		if got := methodAllowed(&tc.r); got != tc.want {
			t.Errorf("%s over HTTP/%d %v: %v, want %v", tc.r.Method, tc.r.ProtoMajor, tc.r.Header, got, tc.want)
		}
	}
}

func FuzzAmbiguousPath(f *testing.F) {
	for _, p := range []string{"/", "/a/%2e%2e/b", "/a;b", "//", "/%", "/a%2"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if ambiguousPath(p) || p == "" || p == "*" {
			return
		}
		// What passes is read alike by everybody: nothing in it changes when it
		// is split at slashes before or after decoding.
		if p[0] != '/' {
			t.Fatalf("%q passes without a leading slash", p)
		}
	})
}
