package caddymodule

import (
	"net/http"

	"golang.org/x/net/http/httpguts"
)

// methods that may pass. WebDAV's are registered too; TRACE never passes.
var methods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true,
	http.MethodPatch: true, http.MethodDelete: true, http.MethodOptions: true,
	"ACL": true, "BASELINE-CONTROL": true, "BIND": true, "CHECKIN": true, "CHECKOUT": true, "COPY": true,
	"LABEL": true, "LINK": true, "LOCK": true, "MERGE": true, "MKACTIVITY": true, "MKCALENDAR": true,
	"MKCOL": true, "MKREDIRECTREF": true, "MKWORKSPACE": true, "MOVE": true, "ORDERPATCH": true,
	"PROPFIND": true, "PROPPATCH": true, "QUERY": true, "REBIND": true, "REPORT": true, "SEARCH": true, "UNBIND": true,
	"UNCHECKOUT": true, "UNLINK": true, "UNLOCK": true, "UPDATE": true, "UPDATEREDIRECTREF": true,
	"VERSION-CONTROL": true,
}

// methodAllowed reports whether a request's method may be proxied at all. CONNECT
// only as an extended CONNECT that opens a websocket (RFC 8441).
func methodAllowed(r *http.Request) bool {
	if r.Method == http.MethodConnect {
		return isExtendedConnect(r)
	}
	return methods[r.Method]
}

// isExtendedConnect recognises the websocket form: HTTP/2 shows the protocol as a
// pseudo-header, HTTP/3 as the request's protocol.
func isExtendedConnect(r *http.Request) bool {
	if r.Method != http.MethodConnect {
		return false
	}
	if protocol := r.Header[":protocol"]; r.ProtoMajor == 2 && len(protocol) == 1 {
		return protocol[0] == "websocket"
	}
	return r.ProtoMajor == 3 && r.Proto == "websocket"
}

// isWebSocket reports whether the request asks to become a websocket.
func isWebSocket(r *http.Request) bool {
	if isExtendedConnect(r) {
		return true
	}
	// A list, or two lines, is what no browser sends and a server may still take.
	return len(r.Header["Upgrade"]) > 0 && httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], "websocket")
}
