package msgraph

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Kind says what a failure means to the caller.
type Kind uint8

// The kinds.
const (
	KindUnavailable  Kind = iota // a 5xx status, no answer, a timeout, or an open circuit
	KindThrottled                // the service, or our own budget, asks us to wait
	KindUnauthorized             // the service refuses the token, also a new one
	KindPermission               // the application lacks a permission
	KindNotFound                 // the service is healthy and has no such thing
	KindGone                     // the delta token is too old: read everything again
	KindConfig                   // the credential, tenant or application is wrong
	KindAnswer                   // the answer is not what the service sends
	KindBadRequest               // the service does not understand the request
	numKinds
)

var kindNames = [numKinds]string{
	"unavailable", "throttled", "unauthorized", "permission", "not_found", "gone", "config", "answer", "bad_request",
}

// String returns the name used in messages and metric labels.
func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return strconv.Itoa(int(k))
}

// Error is a call that failed. It never holds a secret or a token. Test with
// [errors.As]; of a throttled one [*source.ThrottledError] too.
type Error struct {
	Endpoint  Endpoint
	Status    int    // HTTP status; 0 if no answer came
	Code      string // the most specific code of the answer, or AADSTS and a number
	Message   string // what the service says, or what happened; one bounded line
	RequestID string // for a support case at Microsoft
	Kind      Kind
	// RetryAfter is how long to wait; 0 if nobody said.
	RetryAfter time.Duration
	// Claims is the claims challenge of a 401, decoded; empty if there is none.
	Claims string

	hint   string // what the operator can do
	cause  error  // for errors.Is: the end of a context, or a network error
	retry  bool   // another try may help
	exempt bool   // says nothing about whether the endpoint works
}

// Is makes an error [source.ErrNotAccepted] or [source.ErrNotPermitted] if that is what
// it means.
func (e *Error) Is(target error) bool {
	switch e.Kind {
	case KindUnauthorized, KindConfig:
		return target == source.ErrNotAccepted
	case KindPermission:
		return target == source.ErrNotPermitted
	case KindUnavailable, KindThrottled, KindNotFound, KindGone, KindAnswer, KindBadRequest:
	}
	return false
}

// Error implements error: one line, with the fix where there is one.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Endpoint, strings.ReplaceAll(e.Kind.String(), "_", " "))
	if e.Status != 0 {
		fmt.Fprintf(&b, " (status %d)", e.Status)
	}
	if e.Code != "" && !strings.Contains(e.Message, e.Code) {
		b.WriteString(": " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + strings.TrimSuffix(e.Message, "."))
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; wait %s", e.RetryAfter.Round(time.Millisecond))
	}
	if e.hint != "" {
		b.WriteString("; " + e.hint)
	}
	if e.RequestID != "" {
		b.WriteString(" (request id " + e.RequestID + ")")
	}
	return b.String()
}

// Unwrap gives a [*source.ThrottledError] if the service asked us to wait, and
// otherwise what ended the call, if anything did.
func (e *Error) Unwrap() error {
	if e.Kind == KindThrottled {
		return &source.ThrottledError{RetryAfter: e.RetryAfter}
	}
	return e.cause
}
