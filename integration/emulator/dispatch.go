package emulator

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// call is one request on its way through the server.
type call struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	route  *route
	number int // of the route
	params []string
	query  url.Values
	input  []byte // body of the request, bounded
	base   string // scheme and host of every link
	now    time.Time
	beta   bool
	token  *claims
	batch  bool // a part of a $batch

	status int
	body   []byte
	spare  *[]byte // scratch of rows
	after  *Fault  // fault that changes the finished answer
}

// maxInput bounds the body of a request.
const maxInput = 1 << 20

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// ServeHTTP answers one request as the service would whose prefix its path has.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/control/") {
		s.serveControl(w, r)
		return
	}
	s.serve(w, r, false)
}

// serve answers one call. batch: it is a part of a $batch.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, batch bool) {
	scheme := "http"
	if r.TLS != nil || r.URL.Scheme == "https" {
		scheme = "https"
	}
	number, params, svc, beta := find(r.Method, r.URL.Path)
	c := &call{s: s, w: w, r: r, number: number, params: params, base: scheme + "://" + r.Host, now: s.o.Clock(), beta: beta, batch: batch, status: http.StatusOK}
	c.query, _ = url.ParseQuery(r.URL.RawQuery)
	var err error
	if r.Body != nil {
		c.input, err = io.ReadAll(io.LimitReader(r.Body, maxInput+1))
	}
	id := s.login.uuid().String()
	w.Header().Set("request-id", id)
	w.Header().Set("Date", c.now.UTC().Format(http.TimeFormat)) // a clock that is wrong shows
	if v := r.Header.Get("client-request-id"); v != "" {
		w.Header().Set("client-request-id", v)
	}
	if number < 0 || err != nil || len(c.input) > maxInput {
		c.route = &route{service: svc}
		c.unknown(svc)
		c.send()
		return
	}
	c.route = &routes[number]
	if c.route.name == "nac/devices" && c.query.Get("querycriteria") == "compliance" {
		c.number = routeNumber("nac/list")
		c.route = &routes[c.number]
	}
	s.calls[c.number].Add(1)
	if !batch {
		s.pace.count(c.now)
	}
	out, spare := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
	c.body, c.spare = (*out)[:0], spare
	defer func() {
		*out = c.body[:0]
		buffers.Put(out)
		buffers.Put(spare)
	}()
	if !c.fault() {
		c.answer()
	}
	c.send()
}

// answer goes through what the real service checks, in its order, and then through
// the route's handler.
func (c *call) answer() {
	if !c.authenticate() || !c.spend() {
		return
	}
	if !c.route.free {
		c.s.mu.RLock()
		defer c.s.mu.RUnlock()
	}
	handlers[c.route.name](c)
}

// send writes the answer.
func (c *call) send() {
	if c.status == 0 {
		return // a fault wrote it already
	}
	if c.after != nil && c.status == http.StatusOK {
		c.distort()
	}
	h := c.w.Header()
	if h.Get("Content-Type") == "" && len(c.body) > 0 {
		h.Set("Content-Type", c.contentType())
	}
	body := c.body
	if len(body) > 1400 && !c.batch && h.Get("Content-Encoding") == "" && strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") {
		body = compress(body)
		h.Set("Content-Encoding", "gzip")
		h.Set("Vary", "Accept-Encoding")
	}
	if c.status != http.StatusNoContent {
		h.Set("Content-Length", itoa(len(body)))
	}
	c.w.WriteHeader(c.status)
	if c.after != nil && c.after.Kind == HalfPage {
		_, _ = c.w.Write(body[:len(body)/2])
		_ = http.NewResponseController(c.w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = c.w.Write(body) // a client that went away is no concern
}

// contentType: a client should compare the media type alone, not its parameters.
func (c *call) contentType() string {
	switch c.route.service {
	case serviceGraph:
		return "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
	case serviceNAC:
		return "application/xml; charset=utf-8"
	case serviceBlob:
		return "application/zip"
	}
	return "application/json; charset=utf-8"
}

var compressors = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return z
}}

// compress favours speed: a page is compressed for each call.
func compress(b []byte) []byte {
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	var out bytes.Buffer
	out.Grow(len(b) / 4)
	z.Reset(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// violate notes that a client made this call wrongly.
func (c *call) violate(why string) {
	name := c.route.name
	if name == "" {
		name = "no route"
	}
	c.s.violate(fmt.Sprintf("%s: %s %s: %s", name, c.r.Method, c.r.URL.RequestURI(), why))
}

// refuse notes a violation and answers an error. It returns false.
func (c *call) refuse(status int, code, message string) bool {
	c.violate(message)
	c.fail(status, code, message)
	return false
}

// fail answers an error in the form of the route's service.
func (c *call) fail(status int, code, message string) {
	c.status = status
	id := c.w.Header().Get("request-id")
	b := c.body[:0]
	switch c.route.service {
	case serviceNAC:
		b = append(b, "<Error><Code>"+code+"</Code><Message>"+xmlText(message)+"</Message></Error>"...)
	case serviceDefender:
		b = append(b, `{"error":{"code":`...)
		b = append(appendString(b, code), `,"message":`...)
		b = append(appendString(b, message), `,"target":"`+id+`"}}`...)
	default:
		if c.route.scope == scopeIntune && code != "TooManyRequests" { // Intune wraps JSON into the text
			inner, _ := json.Marshal(map[string]any{"_version": 3, "Message": message + " - Operation ID (for customer support): " + id})
			message = string(inner)
		}
		b = append(appendString(append(b, `{"error":{"code":`...), code), `,"message":`...)
		b = appendString(b, message)
		b = append(b, `,"`+innerName(c.route)+`":{"date":"`+c.now.UTC().Format("2006-01-02T15:04:05")+`","request-id":"`+id+`","client-request-id":"`+id+`"}}}`...)
	}
	c.body = b
}

// innerName is innerError, or the spelling innererror that some services have.
func innerName(r *route) string {
	if r.scope == scopeDirectory {
		return "innerError"
	}
	return "innererror"
}

// unknown answers a path that no route has.
func (c *call) unknown(svc service) {
	switch {
	case svc == serviceGraph && c.r.Method == http.MethodPatch:
		c.refuse(http.StatusBadRequest, "BadRequest", "No method match route template")
	case svc == serviceGraph:
		c.refuse(http.StatusBadRequest, "BadRequest", "Resource not found for the segment '"+lastSegment(c.r.URL.Path)+"'.")
	default: // AdminService: a class of another case or one that inventory does not have
		c.refuse(http.StatusNotFound, "NotFound", "no such route")
	}
}

func lastSegment(path string) string {
	path = strings.TrimSuffix(path, "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// has reports whether the token has the permissions that the route needs.
func (c *call) has(roles []string) bool {
	if len(c.route.any) > 0 && slices.ContainsFunc(c.route.any, func(r string) bool { return slices.Contains(roles, r) }) {
		return true
	}
	if len(c.route.needs) == 0 {
		return len(c.route.any) == 0
	}
	for _, n := range c.route.needs {
		if !slices.Contains(roles, n) {
			return false
		}
	}
	return true
}
