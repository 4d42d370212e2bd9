package configmgr

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// DefaultPoll and DefaultSyncTimeout suit a site: clients report at most hourly, and
// a sweep of 100,000 devices is some 400 requests.
const (
	DefaultPoll        = 15 * time.Minute
	DefaultSyncTimeout = 10 * time.Minute
)

// The defaults and limits of [Options].
const (
	DefaultPageSize       = 1000
	MaxPageSize           = 10_000
	DefaultRequestTimeout = time.Minute
	DefaultSignatureAge   = 7 * 24 * time.Hour
	MaxUpdates            = 64
)

// Options say where the AdminService is and how to read it. URL is required, and
// Auth unless the URL is on this machine.
type Options struct {
	// URL of the AdminService, such as https://cm01.corp.example/AdminService; also
	// one through a cloud management gateway. http is accepted on loopback only,
	// for a proxy that signs in on our behalf.
	URL string
	// RootCAs are the certificate authorities that the server's certificate may come
	// from; nil means those of the system. A site without a certificate of its own
	// PKI shows one by "SMS Issuing", whose root has to be exported.
	RootCAs *x509.CertPool
	// Auth says how to sign in. The account has to be an administrative user of the
	// site; the role "Read-only Analyst" is enough.
	Auth Auth
	// RequestTimeout bounds one exchange over HTTP. Default 1 min.
	RequestTimeout time.Duration
	// PageSize is the number of rows asked for at once. Default 1000.
	PageSize int
	// Updates are the updates that count for "updated", as CI ids or article ids
	// (5031356 for KB5031356). Empty: every update that the site has a row about.
	Updates []int
	// NoUpdates is for a site that does not scan for updates: they are not read, not
	// reported, and not part of the compliance verdict.
	NoUpdates bool
	// SignatureAge is how old the antivirus signatures of an active client may be.
	// Default 7 days.
	SignatureAge time.Duration
	// Capacity bounds the devices of a sweep. Default [source.DefaultCapacity].
	Capacity int
	// Logger receives what is unusual about the site; nil: nothing is logged.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Transport replaces the connection. For tests.
	Transport http.RoundTripper
}

// Source reads one site. It implements [source.Syncer] and [source.Looker] and is
// safe for concurrent use. It keeps no devices: those belong to whoever called
// Sync.
type Source struct {
	o       Options
	client  *client
	updates map[int64]bool

	mu        sync.Mutex
	witnesses []int64 // updates about which most devices have a row; see scans.go
	turn      int     // sweeps so far
	stats     Stats
}

var (
	_ source.Syncer = (*Source)(nil)
	_ source.Looker = (*Source)(nil)
)

// New checks the options. It does no remote work and reads no file.
func New(o Options) (*Source, error) {
	base, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if len(o.Updates) > MaxUpdates {
		return nil, fmt.Errorf("updates: %d named, more than %d", len(o.Updates), MaxUpdates)
	}
	if o.NoUpdates && len(o.Updates) > 0 {
		return nil, errors.New("updates are named and switched off at once")
	}
	if o.PageSize < 0 || o.PageSize > MaxPageSize {
		return nil, fmt.Errorf("page size %d is not between 1 and %d", o.PageSize, MaxPageSize)
	}
	o = o.withDefaults()
	auth, err := o.Auth.authorizer(base)
	if err != nil {
		return nil, err
	}
	s := &Source{o: o, client: newClient(base, o, auth), updates: map[int64]bool{}}
	for _, u := range o.Updates {
		if u <= 0 {
			return nil, fmt.Errorf("update %d is neither a CI id nor an article id", u)
		}
		s.updates[int64(u)] = true
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.PageSize == 0 {
		o.PageSize = DefaultPageSize
	}
	if o.SignatureAge <= 0 {
		o.SignatureAge = DefaultSignatureAge
	}
	if o.Capacity <= 0 {
		o.Capacity = source.DefaultCapacity
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("url of the AdminService is not of the form https://host/AdminService")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u)) {
		return nil, errors.New("url of the AdminService must begin with https://; http:// is for a proxy on this machine")
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/wmi")
	if u.Path == "" {
		u.Path = "/AdminService"
	}
	u.RawPath = ""
	return u, nil
}

func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Facts implements [source.Source].
func (s *Source) Facts() decision.FactSet {
	f := decision.Facts(decision.FactManaged, decision.FactCompliance, decision.FactEnabled, decision.FactMalware,
		decision.FactRisk, decision.FactOS, decision.FactOwnership, decision.FactCheckIn, decision.FactAntivirus,
		decision.FactSensor)
	if !s.o.NoUpdates {
		f |= decision.Facts(decision.FactUpdated)
	}
	return f
}

// Close drops idle connections. Calls under way go on.
func (s *Source) Close() { s.client.http.CloseIdleConnections() }
