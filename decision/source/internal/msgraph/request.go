package msgraph

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

const (
	defaultMaxBody = 32 << 20
	maxLink        = 16 << 10
	jsonType       = "application/json"
)

// Request is one call to a service.
type Request struct {
	// Endpoint says which service, permission, budget and circuit.
	Endpoint Endpoint
	// Method defaults to GET. Only GET is tried again.
	Method string
	// Path is below the resource's base, such as /v1.0/devices/delta; ids in it
	// must be escaped by [url.PathEscape]. Or it is an absolute link that an
	// answer gave, which must have the resource's origin.
	Path string
	// Query is encoded the way OData services expect: blanks as %20, names with
	// their dollar sign. It must be empty when a link has a query of its own.
	Query url.Values
	// Body is sent as JSON; nil: none.
	Body any
	// Header is added, such as ConsistencyLevel.
	Header http.Header
	// Accept defaults to application/json. A JSON answer is checked to be JSON.
	Accept string
	// Priority is Low, Normal or High (x-ms-throttle-priority): High for look-ups
	// that somebody waits for, Low for sweeps. Low calls also leave some of our
	// own budget to the others.
	Priority string
	// MaxBody bounds the answer after decompression. Default 32 MiB.
	MaxBody int64
}

// prepared is a request that passed every check, ready to be sent repeatedly.
type prepared struct {
	Request
	url    *url.URL
	body   []byte
	repeat bool // may be sent twice
	cost   int  // what it takes of the budget
	// check reads the answer inside of the retries and the circuit, so that an
	// unusable answer counts as one.
	check func(*Answer) error
}

// reservedHeaders are the client's business.
var reservedHeaders = []string{"Authorization", "Host", "Content-Length", "Content-Type", "Accept", "Accept-Encoding", "Transfer-Encoding", "Connection", "Cookie"}

func (c *Client) prepare(r Request) (*prepared, *Error) {
	bad := func(format string, args ...any) (*prepared, *Error) {
		return nil, &Error{Endpoint: r.Endpoint, Kind: KindBadRequest, Message: fmt.Sprintf(format, args...)}
	}
	if r.Endpoint >= numEndpoints {
		return bad("no such endpoint")
	}
	if c.bases[r.Endpoint.Resource()] == nil {
		return nil, &Error{
			Endpoint: r.Endpoint, Kind: KindConfig,
			Message: fmt.Sprintf("cloud %s has no %s service", c.o.Cloud.Name, r.Endpoint.Resource()),
			hint:    "remove the source, or set the service's host",
		}
	}
	p := &prepared{Request: r, cost: 1}
	if p.Method == "" {
		p.Method = http.MethodGet
	}
	p.repeat = p.Method == http.MethodGet
	if p.Accept == "" {
		p.Accept = jsonType
	}
	if p.MaxBody <= 0 {
		p.MaxBody = defaultMaxBody
	}
	if !slices.Contains([]string{"", "Low", "Normal", "High"}, p.Priority) {
		return bad("priority %q is none of Low, Normal, High", p.Priority)
	}
	for name := range r.Header {
		if slices.Contains(reservedHeaders, http.CanonicalHeaderKey(name)) {
			return bad("header %s is not the caller's to set", name)
		}
	}
	if r.Endpoint == MemberGroups {
		p.cost = 4 // checkMemberGroups, in resource units
	}
	u, err := c.locate(r.Endpoint.Resource(), r.Path)
	if err != nil {
		return bad("%v", err)
	}
	if len(r.Query) > 0 {
		if u.RawQuery != "" {
			return bad("a link with a query of its own takes no other")
		}
		u.RawQuery = encodeQuery(r.Query)
	}
	p.url = u
	if r.Body != nil {
		if p.body, err = json.Marshal(r.Body); err != nil {
			return bad("body: %v", err)
		}
	}
	return p, nil
}
