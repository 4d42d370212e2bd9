package intune

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// reasons remembers which devices need their failing settings fetched: once for
// each check-in. Both maps go from the Intune id to that check-in.
type reasons struct {
	due, done map[string]time.Time
}

// note looks at a record.
func (r *reasons) note(v *decision.Verdict) {
	id := v.Keys[0].Value
	if !failing(v.Compliance) {
		delete(r.due, id)
		delete(r.done, id)
		return
	}
	if at, ok := r.done[id]; !ok || !at.Equal(v.LastCheckIn) {
		r.due[id] = v.LastCheckIn
	}
}

// prune forgets devices that are gone.
func (r *reasons) prune(f *fleet) {
	for _, m := range []map[string]time.Time{r.due, r.done} {
		for id := range m {
			if _, ok := f.get(decision.Key{Kind: decision.KindIntune, Value: id}); !ok {
				delete(m, id)
			}
		}
	}
}

// next returns up to n devices, those that checked in last first: their people
// are waiting.
func (r *reasons) next(n int) []string {
	ids := make([]string, 0, len(r.due))
	for id := range r.due {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(r.due[b].Compare(r.due[a]), strings.Compare(a, b))
	})
	return ids[:min(n, len(ids))]
}

// explain fetches reasons. It never fails a Sync: a verdict without reasons is a
// verdict all the same.
func (s *Source) explain(ctx context.Context) {
	if !s.o.Reasons || s.barred("reasons") {
		return
	}
	ctx, cancel := background(ctx)
	defer cancel()
	s.mu.Lock()
	ids := s.reasons.next(s.o.ReasonsPerPoll)
	s.mu.Unlock()
	failed := 0
	for _, id := range ids {
		s.mu.Lock()
		checkIn := s.reasons.due[id]
		s.mu.Unlock()
		settings, err := s.fetchReasons(ctx, id)
		switch kind := kindOf(err); {
		case err == nil, kind == msgraph.KindNotFound:
			failed = 0
			s.once("reasons", nil)
		case kind == msgraph.KindAnswer || kind == msgraph.KindBadRequest:
			// Something about this device: leave it until it checks in again.
			s.refused("reasons", err)
			if failed++; failed == 3 {
				return
			}
		default:
			s.refused("reasons", err)
			return
		}
		s.explained(id, checkIn, settings)
	}
}

// background bounds what a Sync does beside listing to half of its time, and to
// two minutes.
func background(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := 2 * time.Minute
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	return context.WithTimeout(ctx, limit)
}

func (s *Source) explained(id string, checkIn time.Time, settings []decision.Setting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reasons.done[id] = checkIn
	if s.reasons.due[id].Equal(checkIn) {
		delete(s.reasons.due, id)
	}
	v, ok := s.fleet.get(decision.Key{Kind: decision.KindIntune, Value: id})
	if !ok || !failing(v.Compliance) {
		return
	}
	v.Settings = settings
	if s.fleet.put(v) {
		s.dirty = true
	}
}

// policyState is a Graph deviceCompliancePolicyState.
type policyState struct {
	ID    text `json:"id"`
	Name  text `json:"displayName"`
	State text `json:"state"`
}

// settingState is a Graph deviceCompliancePolicySettingState. Its settingName is
// always null.
type settingState struct {
	Setting text `json:"setting"`
	State   text `json:"state"`
}

// bad reports whether a complianceStatus is a reason.
func bad(state text) bool {
	return state.s == "nonCompliant" || state.s == "error" || state.s == "conflict"
}

func (s *Source) fetchReasons(ctx context.Context, id string) ([]decision.Setting, error) {
	var policies []policyState
	_, err := s.o.Client.Pages(ctx, policyRequest(id, "Low"), func(raw json.RawMessage) error {
		var p policyState
		if json.Unmarshal(raw, &p) == nil && bad(p.State) && p.ID.s != "" && len(policies) < decision.MaxSettings {
			policies = append(policies, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var list []decision.Setting
	for _, p := range policies {
		// Only the beta version is known to fill this list.
		_, err := s.o.Client.Pages(ctx, msgraph.Request{
			Endpoint: msgraph.IntuneConfig, Priority: "Low",
			Path: "/beta/deviceManagement/managedDevices/" + url.PathEscape(id) + "/deviceCompliancePolicyStates/" + url.PathEscape(p.ID.s) + "/settingStates",
		}, func(raw json.RawMessage) error {
			list = addSetting(list, p.Name.s, raw)
			return nil
		})
		if err != nil && kindOf(err) != msgraph.KindNotFound {
			return nil, err
		}
	}
	return list, nil
}

// addSetting adds a failing setting. The service lists one for the user and again
// for the system account: it is one reason.
func addSetting(list []decision.Setting, policy string, raw []byte) []decision.Setting {
	var st settingState
	if json.Unmarshal(raw, &st) != nil || !bad(st.State) {
		return list
	}
	name := st.Setting.s[strings.LastIndexByte(st.Setting.s, '.')+1:]
	if name == "" || len(list) == decision.MaxSettings {
		return list
	}
	same := func(o decision.Setting) bool { return o.Name == name && o.Policy == policy }
	if slices.ContainsFunc(list, same) {
		return list
	}
	return append(list, decision.Setting{Name: name, Policy: policy, State: st.State.s})
}

func policyRequest(id, priority string) msgraph.Request {
	return msgraph.Request{
		Endpoint: msgraph.IntuneConfig, Priority: priority,
		Path: devicesPath + "/" + url.PathEscape(id) + "/deviceCompliancePolicyStates",
	}
}

// isThrottled reports whether the service asked us to wait.
func isThrottled(err error) bool {
	var t *source.ThrottledError
	return errors.As(err, &t)
}
