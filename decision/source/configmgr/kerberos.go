package configmgr

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	krb5 "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/krberror"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Negotiate signs in with Kerberos (SPNEGO, RFC 4559), by the key of an account in
// a keytab file. Tickets are got when they are needed and renewed before they end.
type Negotiate struct {
	// Principal is the account, such as svc-gatehouse; "@REALM" behind it counts if
	// Realm is empty.
	Principal string
	// Realm of the account, such as CORP.EXAMPLE.
	Realm string
	// KeytabFile holds the account's key. It is read at every sign-in, so that a new
	// key needs no restart.
	KeytabFile string
	// Krb5ConfFile names the key distribution centres (krb5.conf). Empty: they are
	// found by DNS, as a domain publishes them.
	Krb5ConfFile string
	// SPN is the service to ask a ticket for. Default HTTP/ and the host of the URL,
	// as it is written there: DNS has no say in whom we talk to.
	SPN string
}

// The pace of sign-ins. A wrong key counts against the account's lockout, so it is
// not tried again at once; an unreachable centre is no danger to the account.
const (
	firstPause   = source.FirstRefusalPause
	longestPause = source.LongestRefusalPause
	minTicketAge = time.Minute     // a refused ticket that is younger is not thrown away
	renewBefore  = 5 * time.Minute // the end of a ticket
	spareTicket  = 30 * time.Second
)

// ticket is a service ticket with its session key. It is immutable.
type ticket struct {
	account *krb5.Client // only names the account; never talks to anyone
	ticket  messages.Ticket
	key     types.EncryptionKey
	since   time.Time
	until   time.Time
}

// negotiator keeps one ticket for all requests. It is safe for concurrent use.
type negotiator struct {
	o      Negotiate
	signIn func() (*ticket, error) // talks to the KDC; replaced by tests

	mu      sync.Mutex
	have    *ticket
	flight  *signingIn
	failure error // of the last sign-in; nil after a good one
	wait    time.Time
	pause   time.Duration
}

// signingIn is a sign-in under way; its results are valid once done is closed.
type signingIn struct {
	done   chan struct{}
	ticket *ticket
	err    error
}

func newNegotiator(o Negotiate, base *url.URL) (authorizer, error) {
	name, realm, found := strings.Cut(o.Principal, "@")
	if found && o.Realm == "" {
		o.Realm = realm
	}
	o.Principal = name
	if o.Principal == "" || o.Realm == "" || o.KeytabFile == "" {
		return nil, errors.New("negotiate: principal, realm and keytab file are needed")
	}
	if o.SPN == "" {
		o.SPN = "HTTP/" + strings.ToLower(strings.TrimSuffix(base.Hostname(), "."))
	}
	if !strings.Contains(o.SPN, "/") || strings.Contains(o.SPN, "@") {
		return nil, errors.New("negotiate: service principal name is not of the form HTTP/host")
	}
	n := &negotiator{o: o}
	n.signIn = n.exchange
	return n, nil
}

// header implements authorizer. Every request needs a token of its own, because
// servers refuse one that they have seen.
func (n *negotiator) header(ctx context.Context) (string, error) {
	t, err := n.current(ctx)
	if err != nil {
		return "", err
	}
	init, err := spnego.NewNegTokenInitKRB5(t.account, t.ticket, t.key)
	if err != nil {
		return "", fmt.Errorf("kerberos token: %w", err)
	}
	b, err := (&spnego.SPNEGOToken{Init: true, NegTokenInit: init}).Marshal()
	if err != nil {
		return "", fmt.Errorf("kerberos token: %w", err)
	}
	return "Negotiate " + base64.StdEncoding.EncodeToString(b), nil
}

// again implements authorizer: the service may have a new key, for which our ticket
// is no good.
func (n *negotiator) again() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.have != nil && time.Since(n.have.since) > minTicketAge {
		n.have = nil
	}
	return true
}

// current returns a valid ticket. One that ends soon is renewed beside the request;
// without a valid one the request waits, bounded by ctx.
func (n *negotiator) current(ctx context.Context) (*ticket, error) {
	n.mu.Lock()
	now := time.Now()
	have := n.have
	if have != nil && now.After(have.until.Add(-spareTicket)) {
		have = nil
	}
	if have != nil && now.Before(have.renewAt()) {
		n.mu.Unlock()
		return have, nil
	}
	if n.failure != nil && now.Before(n.wait) {
		err := n.failure
		n.mu.Unlock()
		if have != nil {
			return have, nil
		}
		return nil, err
	}
	f := n.flight
	if f == nil {
		f = &signingIn{done: make(chan struct{})}
		n.flight = f
		go n.land(f) // ends by itself: every exchange with a KDC has a deadline
	}
	n.mu.Unlock()
	if have != nil {
		return have, nil
	}
	select {
	case <-f.done:
		return f.ticket, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// renewAt is some minutes before the end, or at five sixths of a short life.
func (t *ticket) renewAt() time.Time {
	return t.until.Add(-min(renewBefore, t.until.Sub(t.since)/6))
}

// land does one sign-in and keeps its result.
func (n *negotiator) land(f *signingIn) {
	defer close(f.done)
	f.ticket, f.err = n.protect()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flight = nil
	if f.err == nil {
		n.have, n.failure, n.pause = f.ticket, nil, 0
		return
	}
	longest := longestPause
	if k, ok := errors.AsType[krberror.Krberror](f.err); ok && k.RootCause == krberror.NetworkingError {
		longest = firstPause
	}
	n.pause = min(max(2*n.pause, firstPause), longest)
	n.failure, n.wait = f.err, time.Now().Add(n.pause)
}

// protect turns a panic into an error: what a KDC sends is parsed by a library that
// does not check everything.
func (n *negotiator) protect() (t *ticket, err error) {
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("kerberos sign-in panicked: %v", p)
		}
	}()
	return n.signIn()
}

// exchange gets a ticket-granting ticket by the keytab and with it one for the
// service (RFC 4120 sections 3.1 and 3.3).
func (n *negotiator) exchange() (*ticket, error) {
	conf, err := n.krb5Config()
	if err != nil {
		return nil, err
	}
	keys, err := keytab.Load(n.o.KeytabFile)
	if err != nil {
		return nil, fmt.Errorf("keytab %s: %w", n.o.KeytabFile, err)
	}
	// Domain controllers do not know FAST (RFC 6113) without further set-up.
	cl := krb5.NewWithKeytab(n.o.Principal, n.o.Realm, keys, conf, krb5.DisablePAFXFAST(true))
	defer cl.Destroy() // ends what a referral to another realm may have started
	ask, err := messages.NewASReqForTGT(n.o.Realm, conf, cl.Credentials.CName())
	if err != nil {
		return nil, fmt.Errorf("kerberos request: %w", err)
	}
	since := time.Now()
	tgt, err := cl.ASExchange(n.o.Realm, ask, 0)
	if err != nil {
		return nil, fmt.Errorf("kerberos sign-in of %s@%s: %w", n.o.Principal, n.o.Realm, err)
	}
	from, granting, key := n.o.Realm, tgt.Ticket, tgt.DecryptedEncPart.Key
	_, host, _ := strings.Cut(n.o.SPN, "/")
	if realm := conf.ResolveRealm(host); realm != "" && realm != from {
		next := types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: []string{"krbtgt", realm}}
		_, other, err := cl.TGSREQGenerateAndExchange(next, from, granting, key, false)
		if err != nil {
			return nil, fmt.Errorf("kerberos ticket for realm %s: %w", realm, err)
		}
		from, granting, key = realm, other.Ticket, other.DecryptedEncPart.Key
	}
	service := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, n.o.SPN)
	_, got, err := cl.TGSREQGenerateAndExchange(service, from, granting, key, false)
	if err != nil {
		return nil, fmt.Errorf("kerberos ticket for %s: %w", n.o.SPN, err)
	}
	until := got.DecryptedEncPart.EndTime
	if !until.After(since) {
		return nil, fmt.Errorf("kerberos ticket for %s has ended already: check the clocks", n.o.SPN)
	}
	return &ticket{
		account: krb5.NewWithPassword(n.o.Principal, n.o.Realm, "", conf),
		ticket:  got.Ticket, key: got.DecryptedEncPart.Key, since: since, until: until,
	}, nil
}

func (n *negotiator) krb5Config() (*config.Config, error) {
	if n.o.Krb5ConfFile == "" {
		conf := config.New()
		conf.LibDefaults.DefaultRealm = n.o.Realm
		conf.LibDefaults.DNSLookupKDC = true
		return conf, nil
	}
	conf, err := config.Load(n.o.Krb5ConfFile)
	if _, ok := errors.AsType[config.UnsupportedDirective](err); err != nil && !ok {
		return nil, fmt.Errorf("krb5.conf: %w", err)
	}
	return conf, nil
}
