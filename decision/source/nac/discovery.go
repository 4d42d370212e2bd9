package nac

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const (
	// The service principal of Intune in every tenant, and the name of the service
	// among its endpoints. Tenants live on different hosts.
	discoveryPath = "/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints"
	serviceName   = "complianceretrievalservice"

	locationAge  = 24 * time.Hour   // a location is looked up again after that
	refreshGap   = time.Minute      // between two attempts while a location is known
	refusalGap   = 30 * time.Second // after a refusal that no repetition mends
	refreshLimit = 10 * time.Second // of an attempt while a location is known
	maxEndpoints = 1000
)

var errNoService = errors.New("the tenant lists no ComplianceRetrievalService: check that it has an Intune licence")

// finder knows where the tenant's service is. It is safe for concurrent use.
// Discovery runs in the call that needs it: one at a time, and while a location
// is known nobody else waits for it.
type finder struct {
	client *msgraph.Client
	now    func() time.Time
	logger *slog.Logger
	turn   chan struct{} // holds one token while somebody asks

	mu     sync.Mutex
	base   string    // without a slash at its end; empty: not known
	fresh  time.Time // until then base is not doubted
	found  time.Time // when base was last confirmed
	rest   time.Time // no question before that
	failed error     // of the last question
	asked  int
}

func newFinder(o Options) *finder {
	return &finder{client: o.Client, now: o.Now, logger: o.Logger, turn: make(chan struct{}, 1)}
}

// find returns the service's location. One that is old, or was doubted, is
// renewed; if that fails it serves on.
func (f *finder) find(ctx context.Context) (string, error) {
	base, due, err := f.known()
	if !due {
		return base, err
	}
	if base != "" {
		select {
		case f.turn <- struct{}{}:
		default:
			return base, nil // somebody is renewing it
		}
	} else {
		select {
		case f.turn <- struct{}{}:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	defer func() { <-f.turn }()
	if base, due, err = f.known(); !due { // whoever had the turn before us asked
		return base, err
	}
	return f.renew(ctx, base)
}

func (f *finder) known() (base string, due bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	switch {
	case now.Before(f.rest):
		if f.base == "" {
			return "", false, f.failed
		}
		return f.base, false, nil
	case f.base != "" && now.Before(f.fresh):
		return f.base, false, nil
	}
	return f.base, true, nil
}

// instead returns another location for one that does not answer. If there is no
// time left to ask, the next look-up does.
func (f *finder) instead(ctx context.Context, dead string) (string, bool) {
	f.mu.Lock()
	if f.base == dead {
		f.fresh = time.Time{}
	}
	f.mu.Unlock()
	if ctx.Err() != nil {
		return "", false
	}
	next, err := f.find(ctx)
	return next, err == nil && next != dead
}

// renew asks. The caller has the turn.
func (f *finder) renew(ctx context.Context, old string) (string, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if old != "" { // leave time for the device itself
		limit := refreshLimit
		if end, ok := ctx.Deadline(); ok {
			limit = min(limit, time.Until(end)/2)
		}
		limited, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	next, err := f.discover(limited)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	now := f.now()
	if err == nil {
		if next != old {
			f.logger.Info("compliance retrieval service found", "uri", next)
		}
		f.base, f.found, f.failed = next, now, nil
		f.fresh, f.rest = now.Add(locationAge), now.Add(refreshGap)
		return next, nil
	}
	f.failed = err
	switch {
	case ctx.Err() != nil: // the caller gave up: the next one tries
	case old != "":
		f.logger.Warn("compliance retrieval service cannot be looked up, its last known place is used", "error", err)
		f.rest = now.Add(refreshGap)
	case lasting(err):
		f.rest = now.Add(refusalGap)
	}
	if old != "" {
		return old, nil
	}
	return "", err
}

// lasting reports whether asking again is in vain for a while. The client itself
// paces calls to a service that is away or asks us to wait.
func lasting(err error) bool {
	var e *msgraph.Error
	return !errors.As(err, &e) || e.Kind != msgraph.KindUnavailable && e.Kind != msgraph.KindThrottled && e.Kind != msgraph.KindConfig
}

// discover asks Graph for the endpoints of Intune and picks ours.
func (f *finder) discover(ctx context.Context) (string, error) {
	var base string
	var refused error
	rows := 0
	_, err := f.client.Pages(ctx, msgraph.Request{
		Endpoint: msgraph.Discovery, Path: discoveryPath, Priority: "High", MaxBody: 1 << 20,
	}, func(raw json.RawMessage) error {
		if rows++; rows > maxEndpoints {
			return fmt.Errorf("more than %d endpoints are listed", maxEndpoints)
		}
		uri, ok := endpoint(raw)
		if !ok || base != "" {
			return nil
		}
		if err := f.check(uri); err != nil {
			refused = fmt.Errorf("endpoint of the service is refused: %w", err)
			return nil
		}
		base = strings.TrimRight(uri, "/")
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case base != "":
		return base, nil
	case refused != nil:
		return "", refused
	}
	return "", errNoService
}

// check refuses an endpoint that no token may be sent to, and one that no path
// can follow.
func (f *finder) check(uri string) error {
	if strings.ContainsAny(uri, "?#") {
		return errors.New("link has a query or a fragment")
	}
	return f.client.CheckLink(msgraph.Intune, uri)
}

// endpoint reads one entry of the list; false: it is another service's, or not to
// be used. Older entries have a service name in place of a provider name.
func endpoint(raw []byte) (uri string, ok bool) {
	var e struct {
		Provider *string `json:"providerName"`
		Service  *string `json:"serviceName"`
		URI      string  `json:"uri"`
	}
	if json.Unmarshal(raw, &e) != nil {
		return "", false
	}
	name := e.Provider
	if name == nil {
		name = e.Service
	}
	if name == nil || strings.ToLower(*name) != serviceName || e.URI == "" {
		return "", false
	}
	return e.URI, true
}

// describe adds what operators want to see.
func (f *finder) describe(st *Stats) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st.Service, st.Located, st.Discoveries = f.base, f.found, f.asked
	if f.failed != nil {
		st.DiscoveryError = f.failed.Error()
	}
}
