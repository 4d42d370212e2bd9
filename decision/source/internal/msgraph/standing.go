package msgraph

import "time"

// CircuitState is how the circuit breaker of one endpoint stands.
type CircuitState struct {
	Endpoint string `json:"endpoint"`
	State    string `json:"state"` // closed, half-open or open
	// Error is what opened it; empty while it is closed.
	Error string `json:"error,omitempty"`
}

// Circuits tells of every endpoint whether it is called at all.
func (c *Client) Circuits() []CircuitState {
	all := make([]CircuitState, 0, numEndpoints)
	for _, k := range c.circuits {
		s := CircuitState{Endpoint: k.endpoint.String(), State: k.breaker.State().String()}
		k.mu.Lock()
		if k.last != nil && s.State != "closed" {
			s.Error = k.last.Error()
		}
		k.mu.Unlock()
		all = append(all, s)
	}
	return all
}

// TokenState is how the token for one service stands. It holds no part of a token
// or credential.
type TokenState struct {
	Resource string `json:"resource"`
	// Usable is true while there is a token that a service would take.
	Usable  bool      `json:"usable"`
	Expires time.Time `json:"expires,omitzero"`
	// Failures counts requests that failed in a row. Failure is the name of the
	// [Kind] of the last one, and Error what it says and what to do; both are empty
	// if it succeeded.
	Failures int    `json:"failures,omitempty"`
	Failure  string `json:"failure,omitempty"`
	Error    string `json:"error,omitempty"`
	// RetryAt is when a token is asked for again after a failure.
	RetryAt time.Time `json:"retry_at,omitzero"`
}

// TokenFailures lists the values of [TokenState.Failure], for metrics.
func TokenFailures() []string {
	return []string{KindConfig.String(), KindThrottled.String(), KindUnavailable.String(), KindAnswer.String()}
}

// Tokens tells of every service that a token was asked for how that went.
func (c *Client) Tokens() []TokenState {
	now := time.Now()
	var all []TokenState
	for res := range numResources {
		s, asked := c.tokens[res].standing(now)
		if asked {
			s.Resource = res.String()
			all = append(all, s)
		}
	}
	return all
}

func (s *tokenSlot) standing(now time.Time) (t TokenState, asked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Usable = s.value != "" && now.Before(s.expires.Add(-tokenReserve))
	if s.value != "" {
		t.Expires = s.expires
	}
	if s.failed != nil {
		t.Failures, t.Failure, t.Error, t.RetryAt = s.failures, s.failed.Kind.String(), s.failed.text(), s.retryAt
	}
	return t, s.value != "" || s.failed != nil
}
