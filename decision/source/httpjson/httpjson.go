package httpjson

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// The defaults and bounds of [Options].
const (
	DefaultTimeout  = 30 * time.Second
	DefaultMaxBody  = 32 << 20
	DefaultMaxPages = 10_000
	MaxFields       = 64 // entries of Options.Map
)

// Options describe a service and what its answers mean. At least one of URL and
// ListURL is needed, and a Map.
type Options struct {
	// Name is the configured name of the source, for messages. Default
	// httpjson.
	Name string

	// URL asks for one device: https, or http on this machine, with {id} and
	// perhaps {kind} in its path or query. A value is percent-encoded. In the
	// path, and in the middle of a query value such as a filter, only ids of
	// ASCII letters, digits, spaces and "._:~-" are asked for: anything else
	// could mean something to the service. As a whole query value
	// ("?serial={id}") any id is.
	URL string
	// Item is the JSON pointer to the device in an answer to URL; "" is the
	// whole document. A list is a search result: the device in it must name
	// the id that was asked for, and an empty list or null means that there is
	// no such device.
	Item string
	// Kinds are the kinds of device id that URL can be asked for, such as
	// [decision.KindSerial]. At least one with URL.
	Kinds []string
	// NotFound are the statuses that mean an unknown device. Default 404, and
	// then not with a web page as the answer, which is what a wrong address
	// brings. Only 204 and statuses from 400 to 499 that say nothing about the
	// credential or the load are accepted.
	NotFound []int

	// ListURL lists all devices, of the same origin as URL. With {page} or
	// {offset} in it, it is asked for page after page until one is empty.
	ListURL string
	// Items is the JSON pointer to the list in an answer to ListURL; "" is the
	// whole document.
	Items string
	// FirstPage is the number of the first {page}. Default 0.
	FirstPage int
	// Next is the JSON pointer to what leads to the next page: a URL of the
	// same origin, absolute or relative, or, with NextParameter, a token. The
	// list ends where there is none, or null, false or "".
	Next string
	// NextParameter is the query parameter of ListURL that takes the token.
	NextParameter string
	// MaxPages bounds one listing. Default [DefaultMaxPages].
	MaxPages int

	// Header is sent with every request, such as an API key of the service's
	// own making.
	Header map[string]string
	// At most one credential: a bearer token, a file that holds one, a user with
	// a password or a file that holds it, or client credentials. Files are read
	// at every request, so that a new secret counts at once.
	Bearer            string
	BearerFile        string
	Username          string
	Password          string
	PasswordFile      string
	ClientCredentials *ClientCredentials

	// RootCAs verify the service's certificate. Nil: the system's.
	RootCAs *x509.CertPool
	// Transport carries the requests. Nil: one of our own, with the proxy of
	// the environment.
	Transport http.RoundTripper
	// Timeout bounds one request with its answer. Default [DefaultTimeout]. A
	// look-up ends with its context, which is usually much earlier.
	Timeout time.Duration
	// MaxBody bounds one page of a list, in bytes after decompression. Default
	// [DefaultMaxBody]. The answer about one device is bounded to 4 MiB, or
	// less if MaxBody is less.
	MaxBody int64

	// Map fills normalised fields. At most [MaxFields], each name once. Map an
	// id wherever the service names one: then an answer that names another
	// device, or none, is an error. Without one the answer to URL is taken to
	// be about the device that was asked for.
	Map []Field
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Field is one normalised field and where it is found.
type Field struct {
	// Name is entra_id, intune_id, serial, id:KIND, or one of [FieldNames].
	Name string
	// Pointer is a JSON pointer (RFC 6901) into the device. Either Pointer or
	// Expression is needed.
	Pointer string
	// Expression is CEL over doc, the device as the service describes it.
	// Numbers are int where they are written as an integer, else double. An
	// expression that fails, for example because a member is missing, gives
	// unknown.
	Expression string
	// Values translates the service's words, compared exactly, to those of the
	// field: {"PASS": "compliant", "FAIL": "noncompliant"}. true, false and
	// integers are words too. A word that is not listed is unknown. Nil: the
	// service speaks the field's own words, in any case.
	Values map[string]string
}

// Source is an information point. Depending on the options it is a
// [source.Looker], a [source.Syncer] or both, and says so by its type.
type Source interface {
	source.Source
	// Unknowns returns how often each field could not be filled, and why, since
	// the start. Fields that never were in question are left out.
	Unknowns() []Unknown
	// Close gives idle connections back. Requests under way are not cut.
	Close()
}

// point is what all kinds of source share.
type point struct {
	name     string
	client   *client
	mapping  *mapping
	now      func() time.Time
	item     pointer
	kinds    []string
	device   *template
	maxBytes int64 // of the answer about one device
	listing  listing
	lastList atomic.Pointer[[]source.SkippedValue] // of the last complete list
}

// The three shapes of a source. A Runner asks the type what a source can do.
type (
	looking struct {
		*point
		lookups
	}
	listed struct {
		*point
		lists
	}
	full struct {
		*point
		lookups
		lists
	}
	lookups struct{ p *point }
	lists   struct{ p *point }
)

var (
	_ source.Looker = looking{}
	_ source.Syncer = listed{}
	_ source.Looker = full{}
	_ source.Syncer = full{}

	_ source.Counting = looking{}
	_ source.Counting = listed{}
	_ source.Counting = full{}
)

// New checks o and returns a source. It does not call the service. The error
// names the option that is wrong.
func New(o Options) (Source, error) {
	if o.Name == "" {
		o.Name = "httpjson"
	}
	p, err := newPoint(&o)
	if err != nil {
		return nil, fmt.Errorf("source %.64s: %w", o.Name, err)
	}
	switch {
	case o.ListURL == "":
		return looking{p, lookups{p}}, nil
	case o.URL == "":
		return listed{p, lists{p}}, nil
	}
	return full{p, lookups{p}, lists{p}}, nil
}

// Facts returns the facts that the map fills.
func (p *point) Facts() decision.FactSet { return p.mapping.facts }

// Unknowns returns how often each field could not be filled.
func (p *point) Unknowns() []Unknown { return p.mapping.unknowns() }

// Counters implements [source.Counting]. A field that the service leaves out of an
// answer is no fault and not counted here. With a list it counts what the last complete
// one had, and single devices that were asked for meanwhile; without, since the start.
func (p *point) Counters() source.Counters {
	unknowns := p.mapping.unknowns()
	c := source.Counters{Own: struct {
		Unknowns []Unknown `json:"unknowns,omitempty"`
	}{unknowns}, Skipped: skipped(nil, unknowns)}
	if last := p.lastList.Load(); last != nil {
		c.Skipped = *last
	}
	return c
}

// skipped are the values that could not be used since before.
func skipped(before, now []Unknown) (all []source.SkippedValue) {
	for _, u := range now {
		if u.Reason == reasonNames[absent] {
			continue
		}
		n := u.Count
		for _, old := range before {
			if old.Field == u.Field && old.Reason == u.Reason {
				n -= old.Count
			}
		}
		if n > 0 {
			all = append(all, source.SkippedValue{Field: u.Field, Reason: u.Reason, Count: n})
		}
	}
	return all
}

// Close gives idle connections back.
func (p *point) Close() { p.client.close() }

// Lookup asks for one device.
func (l lookups) Lookup(ctx context.Context, key decision.Key) (decision.Verdict, error) {
	return l.p.lookup(ctx, key)
}

// Sync lists all devices.
func (l lists) Sync(ctx context.Context, sweep *source.Sweep) error { return l.p.sync(ctx, sweep) }

func (p *point) asks(kind string) bool { return slices.Contains(p.kinds, kind) }
