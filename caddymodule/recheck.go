package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/caddymodule/pages"
	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// The pace of re-checks: how often one device may be asked about, how long a
// person waits, and how many devices are remembered.
const (
	recheckGap     = 30 * time.Second
	recheckTimeout = 5 * time.Second
	recheckDevices = 10_000
)

// Recheck is the answer to POST /.gatehouse/recheck.
type Recheck struct {
	// Device is its name, if a source knows one.
	Device string `json:"device,omitempty"`
	// Compliance is what is known now.
	Compliance string `json:"compliance"`
	// Sources say what came of asking each.
	Sources []RecheckSource `json:"sources"`
}

// RecheckSource is one source's part in a re-check.
type RecheckSource struct {
	Source string `json:"source"`
	// Result is refreshed, unknown, throttled, timeout, failed, or later: the source
	// cannot be asked about one device; its next complete read will tell.
	Result string `json:"result"`
	// RetryAfter is in how many seconds a throttled source may be asked again, if the
	// device asks again; 0: it was not throttled. What was known stays until then, or
	// until the source is next read.
	RetryAfter int `json:"retry_after,omitempty"`
	// RemoteSync is what came of telling the device to check in, if the source
	// does that: asked, asked_recently, unknown, not_supported, not_permitted,
	// throttled, timeout or failed. After asked the device has to act; the gateway
	// looks again by itself in the next four minutes.
	RemoteSync string `json:"remote_sync,omitempty"`
}

// recheck asks the sources anew about the device that the request itself comes
// from: somebody who mended a device should not wait for the next poll. It needs
// the same credentials as any request, changes no verdict by itself, and is refused
// to pages of other sites, which a browser would lend a certificate to.
func (h *Handler) recheck(w http.ResponseWriter, r *http.Request, x *exchange) error {
	a := h.app
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	f, _ := h.checkRequest(r, x, nil)
	if !f.bad() && !fromOwnPage(r) {
		f = fault{reason: decision.OriginNotAllowed, status: http.StatusForbidden}
	}
	if !f.bad() {
		x.creds = a.identifier.identify(r, &x.fwd, x.start)
		f = x.creds.fault
	}
	id := &decision.Identity{}
	if !f.bad() {
		id = &x.creds.entry.Identity
	}
	switch {
	case f.bad():
	case !id.User.Known() && !id.Device.Known():
		f = fault{reason: decision.SignInRequired, status: http.StatusUnauthorized}
	case !id.Device.Known():
		f = fault{reason: decision.DeviceUnidentified, status: http.StatusForbidden}
	}
	if f.bad() {
		return a.refuseRecheck(w, r, &f)
	}
	if wait := a.shared.rechecks.wait(id.Device.Keys[0], x.start); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		w.WriteHeader(http.StatusTooManyRequests)
		return nil
	}
	out := a.refreshDevice(r.Context(), id)
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(out)
}

// fromOwnPage reports whether a request is not made by a page of another site. A
// program sends neither field.
func fromOwnPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return originAllowed(r, nil, false)
	}
	return false
}

// refuseRecheck answers as a policy would refuse, in the form for programs.
func (a *App) refuseRecheck(w http.ResponseWriter, r *http.Request, f *fault) error {
	h := w.Header()
	switch {
	case f.reason == decision.InvalidToken:
		a.challenges.invalid(h, f.param)
	case f.status == http.StatusUnauthorized:
		a.challenges.plain(h)
	}
	if f.close && r.ProtoMajor < 3 {
		h.Set("Connection", "close")
	}
	outcome := decision.Block
	switch {
	case f.ours:
		outcome = decision.Undecided
		h.Set("Retry-After", strconv.Itoa(retrySeconds))
	case f.status == http.StatusUnauthorized:
		outcome = decision.Authenticate
	}
	finding := decision.Finding{Reason: f.reason, Param: f.param}
	text := finding.Text(pages.Language(r.Header.Get("Accept-Language")), decision.PlatformUnknown)
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.status)
	return json.NewEncoder(w).Encode(problem{
		Type: "urn:gatehouse:problem:" + f.reason.Code(), Title: titles[outcome], Status: f.status, Detail: text.Message, Outcome: outcome.String(), Support: a.Support,
		Reasons: []problemReason{{Code: f.reason.Code(), Message: text.Message, Remediation: text.Remediation, Parameter: f.param, FixedBy: string(f.reason.FixedBy())}},
	})
}

// refreshDevice asks every source that can be asked about one device, all at once.
func (a *App) refreshDevice(ctx context.Context, id *decision.Identity) Recheck {
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	keys := append([]decision.Key(nil), id.Device.Keys...)
	keys = append(keys, a.directory.Posture(id).Keys...) // ids that other sources learnt
	out := Recheck{Sources: make([]RecheckSource, len(a.sources))}
	var asked sync.WaitGroup
	for i, s := range a.sources {
		to := &out.Sources[i]
		to.Source = s.runner.Name()
		asked.Go(func() {
			got := s.refresh(ctx, keys)
			to.Result = got.result
			if got.result == "throttled" { // nor may the device ask sooner
				to.RetryAfter = wholeSeconds(max(got.wait, recheckGap))
			}
		})
	}
	asked.Wait()
	p := a.directory.Posture(id)
	a.requestCheckIns(ctx, p, out.Sources)
	out.Compliance = p.ComplianceAt(time.Now(), policy.DefaultAges).String()
	if !p.Ambiguous {
		out.Device = p.Name
	}
	return out
}

// requestCheckIns has every source that does so tell the device to check in, all
// at once: what a source knows is no newer than the device's last check-in. A
// failure spoils nothing that the re-check found.
func (a *App) requestCheckIns(ctx context.Context, p *decision.Posture, to []RecheckSource) {
	if p.Ambiguous {
		return
	}
	var asked sync.WaitGroup
	for i, s := range a.sources {
		asked.Go(func() { to[i].RemoteSync = string(s.runner.RequestCheckIn(ctx, p.Keys)) })
	}
	asked.Wait()
}

// refreshed is what came of asking one source about one device.
type refreshed struct {
	result string // as in RecheckSource
	wait   time.Duration
	err    error // why it could not be asked
}

// resultOf puts the answer of [source.Runner.Refresh] in words.
func resultOf(err error) refreshed {
	var throttled *source.ThrottledError
	switch {
	case err == nil:
		return refreshed{result: "refreshed"}
	case errors.Is(err, source.ErrUnknownDevice):
		return refreshed{result: "unknown"}
	case errors.As(err, &throttled):
		return refreshed{result: "throttled", wait: throttled.RetryAfter, err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return refreshed{result: "timeout", err: err}
	}
	return refreshed{result: "failed", err: err}
}

// refresh asks the source, by the first id that it can be asked by and knows.
func (s *pooledSource) refresh(ctx context.Context, keys []decision.Key) refreshed {
	last := refreshed{result: "later"}
	for _, k := range keys {
		if !s.runner.Asks(k) {
			continue
		}
		last = resultOf(s.runner.Refresh(ctx, k))
		if last.result != "unknown" { // else perhaps by another of its ids
			return last
		}
	}
	if last.result == "later" && !s.remote { // a service is not listed anew because one person asks
		s.runner.Wake()
	}
	return last
}

// wholeSeconds rounds up: nobody shall ask too early.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// rechecks remembers when a device was last asked about.
type rechecks struct {
	mu   sync.Mutex
	last *cache.Cache[decision.Key, time.Time]
}

func newRechecks() (*rechecks, error) {
	c, err := cache.New[decision.Key, time.Time](cache.Options[decision.Key]{Capacity: recheckDevices})
	return &rechecks{last: c}, err
}

// wait returns how long the device has to wait, or 0 and takes its turn.
func (r *rechecks) wait(k decision.Key, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, res := r.last.Get(k); res == cache.Hit && now.Sub(last) < recheckGap {
		return recheckGap - now.Sub(last)
	}
	r.last.Put(k, now, time.Time{})
	return 0
}
