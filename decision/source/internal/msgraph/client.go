package msgraph

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

// Client talks to the services of one tenant. It is safe for concurrent use.
type Client struct {
	o         Options
	bases     [numResources]*url.URL // nil: the cloud has no such service
	authority *url.URL
	transport http.RoundTripper
	local     http.RoundTripper // to the platform's token service: never through a proxy
	budgets   *[numScopes]budget
	circuits  [numEndpoints]*circuit
	tokens    [numResources]tokenSlot
	peers     [numResources]checkup.Peer // what the services' answers tell about them
	signIn    checkup.Peer

	secret atomic.Pointer[string] // the last client secret: never to be repeated

	ctx    context.Context // ends with Close; bounds token requests
	cancel context.CancelFunc
	mu     sync.Mutex // guards closed against running.Add
	closed bool
	// running counts token requests: those outlive the call that wanted one.
	running sync.WaitGroup
}

// New prepares a client without any remote work: a wrong secret shows at the
// first call. The error names the option that is missing or wrong.
func New(o Options) (*Client, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, transport: o.Transport, budgets: newBudgets()}
	if c.transport == nil {
		t := newTransport(o.RootCAs)
		near := t.Clone()
		near.Proxy, near.DisableKeepAlives = nil, true
		c.transport, c.local = t, near
	} else {
		c.local = c.transport
	}
	if c.authority, err = parseBase(o.Cloud.Authority); err != nil {
		return nil, err
	}
	for res, base := range map[Resource]string{Graph: o.Cloud.Graph, Defender: o.Cloud.Defender, Intune: o.Cloud.Intune} {
		if base == "" {
			continue
		}
		if c.bases[res], err = parseBase(base); err != nil {
			return nil, err
		}
	}
	for ep := range numEndpoints {
		c.circuits[ep] = newCircuit(ep)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Tenant returns the tenant as configured: its id or one of its domains.
func (c *Client) Tenant() string { return c.o.Tenant }

// Close ends token requests, waits for them and closes idle connections. Calls
// after it fail.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Answer is an answer with a status of 2xx.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // decompressed
}

// Do makes one call. A failure is an [*Error]; a GET is tried up to three times
// when that may help. Do returns when ctx ends. It does not sleep for more than
// 20 s nor beyond ctx: then the error is a throttled one that says how long the
// wait would be.
func (c *Client) Do(ctx context.Context, r Request) (*Answer, error) {
	p, e := c.prepare(r)
	if e != nil {
		return nil, e
	}
	a, e := c.do(ctx, p)
	if e != nil {
		return nil, e
	}
	return a, nil
}

const maxTries = 3

// do makes a prepared call inside of its endpoint's circuit.
func (c *Client) do(ctx context.Context, p *prepared) (a *Answer, e *Error) {
	done, e := c.circuits[p.Endpoint].enter()
	if e != nil {
		return nil, e
	}
	e = &Error{Endpoint: p.Endpoint, Kind: KindAnswer, Message: "panic"} // what the circuit hears if we panic
	defer func() { done(e) }()
	a, e = c.tries(ctx, p)
	return a, e
}

func (c *Client) tries(ctx context.Context, p *prepared) (*Answer, *Error) {
	var before *Error
	for try := 1; ; try++ {
		a, e := c.once(ctx, p)
		if e != nil && e.Kind == KindThrottled && e.Status == 0 && before != nil {
			before.RetryAfter = e.RetryAfter // what the service said is worth more than that we may not ask again
			return nil, before
		}
		if e == nil || !e.retry || !p.repeat || try == maxTries {
			return a, e
		}
		before = e
		if e.Kind == KindThrottled {
			continue // the budget knows how long to wait
		}
		pause := backoff(try)
		if !fits(ctx, pause) || sleep(ctx, pause) != nil {
			return nil, e
		}
	}
}

// once makes one try: budget, token, call. A refused token is replaced once.
func (c *Client) once(ctx context.Context, p *prepared) (*Answer, *Error) {
	var refused, claims string
	for {
		if e := c.pay(ctx, p); e != nil {
			return nil, e
		}
		tok, e := c.token(ctx, p.Endpoint, refused, claims)
		if e != nil {
			return nil, e
		}
		a, e := c.attempt(ctx, p, tok)
		c.settle(p, a, e)
		if e == nil || e.Kind != KindUnauthorized || refused != "" {
			return a, e
		}
		if !c.tokens[p.Endpoint.Resource()].mayReplace(tok, e.Claims) {
			return nil, e
		}
		refused, claims = tok, e.Claims
	}
}

// pay waits for the budget.
func (c *Client) pay(ctx context.Context, p *prepared) *Error {
	b := &c.budgets[endpoints[p.Endpoint].scope]
	wait, err := b.take(ctx, p.cost, p.Priority == "Low")
	if err != nil {
		return ended(p.Endpoint, err, "gave up waiting for the budget")
	}
	if wait > 0 {
		return &Error{Endpoint: p.Endpoint, Kind: KindThrottled, RetryAfter: wait, Message: "our budget of " + b.name + " calls is spent, or the service asked us to wait"}
	}
	return nil
}

// settle tells the budget how a call ended.
func (c *Client) settle(p *prepared, a *Answer, e *Error) {
	b := &c.budgets[endpoints[p.Endpoint].scope]
	switch {
	case e == nil:
		b.answered(a.Header)
	case e.Kind == KindThrottled:
		level := slog.LevelWarn
		if !b.calm() {
			level = slog.LevelDebug // known already
		}
		e.RetryAfter = b.throttled(e.RetryAfter)
		c.o.Logger.Log(c.ctx, level, "microsoft asks us to wait", "tenant", c.o.Name, "endpoint", p.Endpoint.String(), "wait", e.RetryAfter)
	case e.Status == 0:
		b.refund()
	}
}

// ended is the error of a call whose context ended before the service answered.
// A timeout may well be the service's fault; a cancellation never is.
func ended(ep Endpoint, err error, what string) *Error {
	return &Error{Endpoint: ep, Kind: KindUnavailable, Message: what, cause: err, exempt: errors.Is(err, context.Canceled)}
}

// tryTimeout bounds one try, body included.
const tryTimeout = 90 * time.Second
