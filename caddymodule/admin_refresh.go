package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/gatehouse-project/gatehouse/decision"
)

// RefreshedSource is one source's part in POST /compliance/devices/ID/refresh.
type RefreshedSource struct {
	Source string `json:"source"`
	// Result is as in [RecheckSource]. What a source said before stays if it could
	// not be asked.
	Result string `json:"result"`
	// RetryAfter is in how many seconds a throttled source may be asked again; 0: it
	// was not throttled, or nobody knows.
	RetryAfter int `json:"retry_after,omitempty"`
	// Error is why the source could not be asked.
	Error string `json:"error,omitempty"`
}

// adminRefresh asks every source about a device, all at once, and then shows what is
// known. A source that could not be asked does not keep the others from it: it is
// named in the answer. Only where nobody could be asked, or nobody who could has the
// device, the call fails.
func (a *App) adminRefresh(w http.ResponseWriter, r *http.Request, id string) error {
	key, err := parseKey(id)
	if err != nil {
		return apiError(http.StatusBadRequest, "%v", err)
	}
	ref := decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{key}, Proof: decision.ProofToken}}
	keys := []decision.Key{key}
	if p := a.directory.Posture(&ref); !p.Ambiguous {
		keys = append(keys, p.Keys...) // ids that other sources learnt
	}
	out := make([]RefreshedSource, len(a.sources))
	failed := make([]error, len(a.sources))
	var asked sync.WaitGroup
	for i, s := range a.sources {
		asked.Go(func() {
			got := s.adminRefresh(r.Context(), keys)
			out[i] = RefreshedSource{Source: s.runner.Name(), Result: got.result, RetryAfter: wholeSeconds(got.wait)}
			if got.err != nil {
				out[i].Error = got.err.Error()
				failed[i] = fmt.Errorf("%s: %w", s.runner.Name(), got.err)
			}
		})
	}
	asked.Wait()
	answered := len(a.sources) == 0
	for i := range failed {
		answered = answered || failed[i] == nil
	}
	why := errors.Join(failed...)
	if !answered || why != nil && !a.directory.Posture(&ref).Known() {
		return apiError(http.StatusBadGateway, "refresh: %v", why)
	}
	return a.replyDevice(w, key, out)
}

// adminRefresh is refresh, but a source that only lists its devices is read anew.
func (s *pooledSource) adminRefresh(ctx context.Context, keys []decision.Key) refreshed {
	if s.looks {
		return s.refresh(ctx, keys)
	}
	return resultOf(s.runner.Refresh(ctx, keys[0]))
}
