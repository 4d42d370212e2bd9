package msgraph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

const maxTokenBody = 1 << 20

// tokenExchange carries the calls of one token request and remembers how the
// last of them ended: the library's errors do not say it in a form to rely on.
type tokenExchange struct {
	authority *url.URL
	via       http.RoundTripper
	peer      *checkup.Peer
	secret    string // never to be repeated in a message

	path   string // of the last call
	status int
	header http.Header
	body   []byte
	err    error
}

// Do implements policy.Transporter.
func (x *tokenExchange) Do(req *http.Request) (*http.Response, error) {
	prefix := strings.TrimSuffix(x.authority.Path, "/")
	if prefix != "" && strings.EqualFold(req.URL.Host, x.authority.Host) && !within(req.URL, x.authority) {
		req.URL.Path, req.URL.RawPath = prefix+req.URL.Path, ""
	}
	x.path, x.status, x.header, x.body = req.URL.Path, 0, nil, nil
	var resp *http.Response
	resp, x.err = x.via.RoundTrip(req)
	if x.err != nil {
		return nil, x.err
	}
	defer resp.Body.Close()
	x.peer.Note(resp, time.Now())
	x.status, x.header = resp.StatusCode, resp.Header
	x.body, x.err = readBody(resp, maxTokenBody)
	if x.err != nil {
		return nil, x.err
	}
	answer := *resp
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(x.body)), int64(len(x.body))
	answer.Header = resp.Header.Clone()
	answer.Header.Del("Content-Encoding")
	return &answer, nil
}

// aadsts finds the number of a sign-in error.
var aadsts = regexp.MustCompile(`AADSTS(\d{4,7})`)

// fixes are what operators can do about a sign-in error.
var fixes = map[string]string{
	"7000215": "configure the secret's value, not its id",
	"7000222": "the client secret has expired: create a new one and configure it",
	"7000229": "the tenant has no service principal of the application: consent to it there",
	"7000112": "the application is disabled: enable it in the tenant",
	"700027":  "register the certificate with the application",
	"700030":  "register the certificate with the application",
	"700024":  "check this machine's clock",
	"700016":  "check client id and tenant: the tenant has no such application",
	"700211":  "add a federated credential with the cluster's issuer",
	"700212":  "add a federated credential with the cluster's audience",
	"700213":  "add a federated credential with the service account's subject",
	"70021":   "add a federated credential that matches issuer, subject and audience",
	"90002":   "check the tenant's id or domain, and the cloud",
	"900023":  "check the tenant's id or domain",
	"900021":  "check the tenant's id or domain",
	"500011":  "the tenant has no such service: check the licence, the cloud and its hosts",
	"53003":   "a conditional access policy blocks the application: exclude it",
	"53000":   "a conditional access policy asks the application for a compliant device: exclude it",
	"53001":   "a conditional access policy asks the application for a joined device: exclude it",
	"50097":   "a conditional access policy asks the application for device authentication: exclude it",
	"50076":   "a conditional access policy asks the application for a second factor: exclude it",
	"50079":   "a conditional access policy asks the application for a second factor: exclude it",
}

// tokenFailure classifies a token request that failed. A status of 4xx is a
// matter of configuration and does not mend itself.
func (c *Client) tokenFailure(ctx context.Context, x *tokenExchange, err error) *Error {
	var local *secretError
	if errors.As(err, &local) {
		return &Error{
			Kind: KindConfig, Message: clean(local.Error(), c.o.Credential.CertificatePassword),
			hint: "check path, owner and content of the credential's file",
		}
	}
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) && failed.RawResponse != nil && x.status == 0 {
		if r := failed.RawResponse; r.Body != nil { // a credential that does not go through us
			x.status, x.header = r.StatusCode, r.Header
			x.body, _ = io.ReadAll(io.LimitReader(r.Body, maxErrBody))
		}
	}
	switch {
	case c.ctx.Err() != nil:
		return &Error{Kind: KindUnavailable, Message: "client is closed", cause: c.ctx.Err()}
	case ctx.Err() != nil:
		return &Error{Kind: KindUnavailable, Message: "no token in time", cause: ctx.Err(), retry: true}
	case x.err != nil:
		e := networkError(0, x.err)
		e.Message = "no token: " + e.Message
		return e
	case x.status == 0 && c.o.Credential.ManagedIdentity:
		return &Error{Kind: KindUnavailable, Message: "no token of the managed identity: " + clean(err.Error(), x.secret), hint: "check that this machine has one"}
	case x.status == 0:
		return &Error{Kind: KindConfig, Message: clean(err.Error(), x.secret, c.o.Credential.CertificatePassword), hint: "check tenant, client id and credential"}
	case x.status < 300 && isPage(x.header, x.body):
		return &Error{Kind: KindAnswer, Message: notFromService}
	case x.status < 300 && strings.HasSuffix(x.path, "/openid-configuration"):
		return &Error{Kind: KindAnswer, Message: "sign-in service's metadata cannot be used: " + clean(err.Error(), x.secret)}
	case x.status < 300: // the library's text would repeat the answer, and with it a token
		return &Error{Kind: KindAnswer, Message: "token endpoint's answer is not what it sends"}
	}
	return x.refusal()
}

// refusal reads what the token endpoint says about a request that it refuses.
func (x *tokenExchange) refusal() *Error {
	s := decodeError(x.body)
	e := &Error{Status: x.status, Code: clean(s.code, x.secret), RequestID: clean(s.requestID)}
	text, _, _ := strings.Cut(s.message, "Trace ID:")
	e.Message = clean(firstOf(text, "no token: "+strings.ToLower(http.StatusText(x.status))), x.secret)
	wait, named := retryAfter(x.header, time.Now())
	e.RetryAfter = wait
	switch {
	case x.status == http.StatusTooManyRequests, x.status == http.StatusServiceUnavailable && named:
		e.Kind = KindThrottled
		return e
	case x.status >= 500, x.status == http.StatusRequestTimeout:
		e.Kind, e.retry = KindUnavailable, true
		return e
	case x.status < 400, !s.found && isPage(x.header, x.body):
		e.Kind, e.Message = KindAnswer, notFromService
		return e
	}
	e.Kind, e.hint = KindConfig, "check tenant, client id and credential"
	if m := aadsts.FindStringSubmatch(s.message); m != nil {
		e.Code = m[0]
		if fix := fixes[m[1]]; fix != "" {
			e.hint = fix
		}
	}
	return e
}

// String keeps the secret out of any print of the value.
func (x *tokenExchange) String() string {
	return fmt.Sprintf("token exchange with %s", x.authority.Host)
}
