package emulator

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// FaultKind is a way in which a route breaks.
type FaultKind string

// The kinds. Which routes a kind fits stands beside it; [Server.Fail] panics when
// it does not.
const (
	Throttle429        FaultKind = "throttle_429"        // 429 with RetryAfter as written, or none
	Status             FaultKind = "status"              // Fault.Status (default 503) with Fault.Body
	Slow               FaultKind = "slow"                // the right answer after Delay (default 5 s)
	Hang               FaultKind = "hang"                // no answer until the client gives up
	Reset              FaultKind = "reset"               // the connection breaks
	Garbage            FaultKind = "garbage"             // 200 with bytes that are not JSON
	HTML200            FaultKind = "html_200"            // 200 with a web page, as captive portals do
	EndlessBody        FaultKind = "endless_body"        // 200 with a body without an end
	GzipBomb           FaultKind = "gzip_bomb"           // 200 with 2 GiB of blanks in 2 MiB
	HalfPage           FaultKind = "half_page"           // the body breaks off
	ForeignNextLink    FaultKind = "foreign_next_link"   // lists of Graph: nextLink to another origin
	ShortPage          FaultKind = "short_page"          // lists: half of the rows and no nextLink
	DuplicateRows      FaultKind = "duplicate_rows"      // lists: every row twice
	UnknownEnums       FaultKind = "unknown_enums"       // JSON: enumerations that no document names
	NullFields         FaultKind = "null_fields"         // JSON: null in place of all but identifiers
	FutureDates        FaultKind = "future_dates"        // JSON: dates in the next year
	Gone410            FaultKind = "gone_410"            // delta: the token is too old
	WrongAudience      FaultKind = "wrong_audience"      // token: for another resource; elsewhere: 401
	InsufficientClaims FaultKind = "insufficient_claims" // Graph: 401 with a claims challenge
	ExpiredSecret      FaultKind = "expired_secret"      // token: AADSTS7000222
	WrongSecret        FaultKind = "wrong_secret"        // token: AADSTS7000215
	UnknownApp         FaultKind = "unknown_app"         // token: AADSTS700016
	UnknownTenant      FaultKind = "unknown_tenant"      // token: AADSTS90002
)

// Fault is one way to break a route.
type Fault struct {
	Kind       FaultKind
	Count      int           // calls that it hits; 0: every one until it is cleared
	RetryAfter string        // header of Throttle429 and Status as written; empty: none
	Delay      time.Duration // before the answer, with every kind; Slow: default 5 s
	Status     int           // of Status; default 503
	Body       string        // of Status, Garbage and HTML200; empty: a fitting one

	left int
}

type faults struct {
	mu     sync.Mutex
	active map[string][]*Fault // by route; the first one hits
}

// Fail breaks a route from now on. Several faults on one route hit one after another,
// in the order of the calls to Fail. clear takes the fault away; it may be called
// more than once. An unknown route, or a kind that does not fit it, panics.
func (s *Server) Fail(route string, f Fault) (clear func()) {
	i := routeNumber(route)
	if i < 0 {
		panic("emulator: unknown route " + route)
	}
	if !f.Kind.fits(&routes[i]) {
		panic("emulator: fault " + string(f.Kind) + " does not fit route " + route)
	}
	f.left = f.Count
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.active == nil {
		s.faults.active = map[string][]*Fault{}
	}
	s.faults.active[route] = append(s.faults.active[route], &f)
	return func() { s.faults.remove(route, &f) }
}

// fits reports whether the kind can show on a route.
func (k FaultKind) fits(r *route) bool {
	switch k {
	case Throttle429, Status, Slow, Hang, Reset, Garbage, HTML200, EndlessBody, GzipBomb, HalfPage:
		return true
	case ForeignNextLink:
		return r.shape == shapeRows && r.service == serviceGraph
	case ShortPage, DuplicateRows:
		return r.shape == shapeRows
	case UnknownEnums, NullFields, FutureDates:
		return r.shape != shapeOther && r.name != "graph/batch"
	case Gone410:
		return r.delta
	case WrongAudience:
		return r.name == "login/token" || r.service == serviceGraph || r.service == serviceDefender || r.service == serviceNAC
	case InsufficientClaims:
		return r.service == serviceGraph
	case ExpiredSecret, WrongSecret, UnknownApp, UnknownTenant:
		return r.name == "login/token"
	}
	return false
}

// remove takes away the very fault, wherever it is in line.
func (f *faults) remove(route string, gone *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.active[route]
	for i, x := range list {
		if x == gone {
			f.active[route] = append(list[:i:i], list[i+1:]...)
			return
		}
	}
}

// take is the fault that hits a call of the route, or nil.
func (f *faults) take(route string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.active[route]
	if len(list) == 0 {
		return nil
	}
	x := list[0]
	if x.Count > 0 {
		if x.left--; x.left <= 0 {
			f.active[route] = list[1:]
		}
	}
	return x
}

// fault lets the route's fault happen. It answers true when that is the answer.
func (c *call) fault() bool {
	f := c.s.faults.take(c.route.name)
	if f == nil {
		return false
	}
	delay := f.Delay
	if f.Kind == Slow && delay == 0 {
		delay = 5 * time.Second
	}
	if delay > 0 && !c.wait(delay) {
		return true
	}
	switch f.Kind {
	case Throttle429:
		c.retryAfter(f)
		c.fail(http.StatusTooManyRequests, "TooManyRequests", "Please retry again later.")
	case Status:
		c.retryAfter(f)
		status := f.Status
		if status == 0 {
			status = http.StatusServiceUnavailable
		}
		c.fail(status, strings.ReplaceAll(http.StatusText(status), " ", ""), "The service answered so because a fault is set.")
		if f.Body != "" {
			c.body = append(c.body[:0], f.Body...)
		}
	case Hang:
		<-c.r.Context().Done()
		panic(http.ErrAbortHandler)
	case Reset:
		c.reset()
	case Garbage:
		c.text("application/json", f.Body, "{\"value\":[{\"id\":\x00\xff oops")
	case HTML200:
		c.text("text/html; charset=utf-8", f.Body, "<!DOCTYPE html><html><body><h1>Sign in to the network</h1></body></html>")
	case EndlessBody:
		c.endless()
	case GzipBomb:
		c.bomb()
	case Gone410:
		c.gone()
	case InsufficientClaims:
		c.challenge(c.now)
	case ExpiredSecret:
		c.oauthError(http.StatusUnauthorized, "invalid_client", 7000222, "The provided client secret keys for app '"+c.s.o.ClientID+"' are expired.")
	case WrongSecret:
		c.oauthError(http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value.")
	case UnknownApp:
		c.oauthError(http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '"+c.s.o.ClientID+"' was not found in the directory.")
	case UnknownTenant:
		c.oauthError(http.StatusBadRequest, "invalid_request", 90002, "Tenant '"+c.s.o.Tenant+"' not found.")
	case WrongAudience:
		if c.route.service == serviceLogin {
			c.after = f
			return false
		}
		c.fail(http.StatusUnauthorized, unauthorizedCode(c.route), "Access token validation failure. Invalid audience.")
	case Slow:
		return false
	default:
		c.after = f
		return false
	}
	return true
}

func (c *call) retryAfter(f *Fault) {
	if f.RetryAfter != "" {
		c.w.Header().Set("Retry-After", f.RetryAfter)
	}
}

// text is a string that is never null.
func (c *call) text(contentType, body, standard string) {
	if body == "" {
		body = standard
	}
	c.w.Header().Set("Content-Type", contentType)
	c.body = append(c.body[:0], body...)
}

// wait answers false when the client went away before.
func (c *call) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// reset breaks the connection: with a TCP reset where the handler can reach it.
func (c *call) reset() {
	if h, ok := c.w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			inner := conn
			if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
				inner = t.NetConn()
			}
			if tcp, ok := inner.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = inner.Close()
		}
	}
	panic(http.ErrAbortHandler)
}

// endless writes until the client goes away.
func (c *call) endless() {
	c.status = 0
	c.w.Header().Set("Content-Type", c.contentType())
	c.w.WriteHeader(http.StatusOK)
	_, err := io.WriteString(c.w, `{"value":[`)
	block := bytes.Repeat([]byte(`{"id":"00000000-0000-4000-8000-000000000000"},`), 1000)
	for err == nil && c.r.Context().Err() == nil {
		_, err = c.w.Write(block)
	}
}

// bomb writes 2 GiB of blanks, compressed: one compressed block many times over,
// which gzip (RFC 1952 section 2.2) reads as one text.
func (c *call) bomb() {
	c.status = 0
	c.w.Header().Set("Content-Type", c.contentType())
	c.w.Header().Set("Content-Encoding", "gzip")
	c.w.WriteHeader(http.StatusOK)
	block := bombBlock()
	_, err := c.w.Write(compress([]byte(`{"value":[`)))
	for i := 0; i < 128 && err == nil && c.r.Context().Err() == nil; i++ {
		_, err = c.w.Write(block)
	}
}

// bombBlock is 16 MiB of blanks.
var bombBlock = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	blanks := bytes.Repeat([]byte(" "), 1<<20)
	for range 16 {
		_, _ = z.Write(blanks)
	}
	_ = z.Close()
	return b.Bytes()
})
