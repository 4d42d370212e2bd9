package msgraph

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxMessage = 300  // bytes of a service's message that an error keeps
	maxNesting = 8    // inner errors that are walked
	maxErrBody = 64e3 // bytes of a failed answer that are read
)

// knownCodes are codes of inner errors that say more than the outer one.
var knownCodes = map[string]bool{
	"resyncRequired": true, "syncStateNotFound": true, "ResourceNotFound": true, "Request_ResourceNotFound": true,
	"Authorization_RequestDenied": true, "InvalidAuthenticationToken": true, "TooManyRequests": true,
	"ODataError": true, "DisabledFeature": true, "DisallowedOperation": true,
}

// serviceError is what a service says about a failure.
type serviceError struct {
	found     bool // the body is an error in one of the known shapes
	code      string
	message   string
	requestID string
}

// nestedError covers Graph (innerError in two spellings, which the decoder does
// not tell apart), Defender (target) and the token endpoint's own shape.
type nestedError struct {
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	Target    string          `json:"target"`
	RequestID string          `json:"request-id"`
	Inner     json.RawMessage `json:"innerError"`
}

// decodeError reads the body of a failed answer. It never fails: a body that is
// not an error leaves found false.
func decodeError(body []byte) serviceError {
	var envelope struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
		TraceID     string          `json:"trace_id"`
	}
	if json.Unmarshal(body, &envelope) != nil || len(envelope.Error) == 0 {
		return serviceError{}
	}
	var name string
	if json.Unmarshal(envelope.Error, &name) == nil {
		if name == "" {
			return serviceError{}
		}
		return serviceError{found: true, code: name, message: envelope.Description, requestID: envelope.TraceID}
	}
	var e nestedError
	if json.Unmarshal(envelope.Error, &e) != nil || envelope.Error[0] != '{' {
		return serviceError{}
	}
	s := serviceError{found: true, code: e.Code, message: unwrapMessage(e.Message), requestID: e.Target}
	for inner, depth := e.Inner, 0; len(inner) > 0 && depth < maxNesting; depth++ {
		var n nestedError
		if json.Unmarshal(inner, &n) != nil {
			break
		}
		if knownCodes[n.Code] {
			s.code = n.Code
		}
		if n.RequestID != "" {
			s.requestID = n.RequestID
		}
		inner = n.Inner
	}
	return s
}

// unwrapMessage takes the text out of a message that is JSON itself, as Intune
// sends it, and drops the support ids behind it.
func unwrapMessage(s string) string {
	if !strings.HasPrefix(strings.TrimSpace(s), "{") {
		return s
	}
	var m struct{ Message string }
	if json.Unmarshal([]byte(s), &m) != nil || m.Message == "" {
		return s
	}
	text, _, _ := strings.Cut(m.Message, " - Operation ID")
	return text
}

// bearer looks like a JSON web token.
var bearer = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*`)

// clean makes one bounded line without secrets of what a service or a library
// says.
func clean(s string, secrets ...string) string {
	for _, secret := range secrets { // before anything is cut: half a secret is one too
		if secret != "" {
			s = strings.NewReplacer(secret, "[secret]", url.QueryEscape(secret), "[secret]").Replace(s)
		}
	}
	s = bearer.ReplaceAllString(strings.ToValidUTF8(s, ""), "[token]")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0x85 || r == 0xa0 }), " ")
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

// failure classifies an answer whose status is not 2xx.
func failure(ep Endpoint, status int, h http.Header, body []byte, secrets ...string) *Error {
	s := decodeError(body)
	e := &Error{
		Endpoint: ep, Status: status, Code: clean(s.code, secrets...), Message: clean(s.message, secrets...),
		RequestID: clean(firstOf(h.Get("request-id"), s.requestID)),
	}
	if e.Message == "" {
		e.Message = strings.ToLower(http.StatusText(status))
	}
	wait, named := retryAfter(h, time.Now())
	e.RetryAfter = wait
	switch {
	case status == http.StatusTooManyRequests, status == 509,
		status == http.StatusServiceUnavailable && (named || ep == NACList):
		// The list of noncompliant devices says 503 when asked too often.
		e.Kind, e.retry = KindThrottled, true
	case status == http.StatusUnauthorized:
		e.Kind, e.Claims = KindUnauthorized, claimsChallenge(h)
		e.hint = "check that the application exists in this tenant and cloud"
	case status >= 500 && status != http.StatusNotImplemented, status == http.StatusRequestTimeout:
		e.Kind = KindUnavailable
		e.retry = status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
	case status < 400:
		e.Kind, e.Message = KindAnswer, "an answer that only a redirect or a proxy gives"
	case status == http.StatusGone, s.code == "resyncRequired", s.code == "syncStateNotFound", e.Code == "resyncRequired", e.Code == "syncStateNotFound":
		e.Kind = KindGone
	case !s.found && isPage(h, body):
		e.Kind, e.Message = KindAnswer, notFromService
	case status == http.StatusForbidden:
		e.Kind = KindPermission
		e.hint = "grant the application permission " + endpoints[ep].permission + " and consent to it"
	case status == http.StatusNotFound && !s.found && len(body) > 0 && ep.Resource() != Intune:
		e.Kind, e.Message = KindAnswer, notFromService
	case status == http.StatusNotFound:
		e.Kind = KindNotFound
	default:
		e.Kind = KindBadRequest
	}
	return e
}

// notFromService says that a machine between us and Microsoft may have answered:
// its "not found" must not be read as "no such device".
const notFromService = "not an answer of the service: a proxy or captive portal may stand in between"

func isPage(h http.Header, body []byte) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/html") || looksLikePage(body)
}

func looksLikePage(body []byte) bool {
	start := strings.ToLower(strings.TrimSpace(string(body[:min(len(body), 256)])))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
