package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultCRLBytes = 64 << 20
	maxCRLBytes     = 512 << 20
	maxCRLSoft      = 30 * 24 * time.Hour

	crlFilePoll   = 30 * time.Second // how often a file's date and size are looked at
	crlMinRefresh = time.Minute
	crlMaxRefresh = time.Hour
	crlMinBackoff = 5 * time.Second
	crlMaxBackoff = 10 * time.Minute
)

// CRLOptions configures [NewCRL].
type CRLOptions struct {
	// URL (http or https) or File is where the list is published, as DER or
	// PEM; exactly one of them. Plain http is usual and safe: lists are signed.
	URL, File string
	// Issuers are the authorities that may have signed the list: the trusted
	// roots and intermediates. Mandatory. An authority that clients send along
	// but that is not configured cannot be checked.
	Issuers []*x509.Certificate
	// Client fetches the URL; nil means one with a time limit of 30 s and at
	// most 3 redirects.
	Client *http.Client
	// Load and Save keep the last good list over a restart. Either may be nil.
	// Load returns nil or an error if there is none.
	Load func() ([]byte, error)
	Save func([]byte) error
	// MaxBytes bounds the list, default 64 MiB, at most 512 MiB. Reading a
	// list takes about twelve times its size in memory for a moment, and
	// keeping it one and a half times.
	MaxBytes int64
	// SoftFor is how long past nextUpdate a list may still be used, default 0,
	// at most 30 days.
	SoftFor time.Duration
	// Now is the clock, default [time.Now].
	Now func() time.Time
}

// CRL keeps one certificate revocation list (RFC 5280) ready. Until a list is
// loaded, and when it is out of date, certificates that it should cover are
// refused as crl_unavailable. It is safe for concurrent use.
type CRL struct {
	o       CRLOptions
	issuers []*x509.Certificate
	softFor time.Duration
	client  *http.Client
	ownHTTP *http.Transport // nil with a client of the caller's

	set atomic.Pointer[crlSet]

	mu      sync.Mutex // guards what follows
	status  CRLStatus
	cancel  context.CancelFunc
	started bool
	closed  bool
	wg      sync.WaitGroup

	fetched crlValidators // touched by refresh only, which never runs twice at once
}

// CRLStatus says how a list stands, for the admin API and metrics.
type CRLStatus struct {
	Name       string    // URL without credentials, or file
	Loaded     bool      // a verified list is in memory, perhaps out of date
	Usable     bool      // it may be used now
	Issuer     string    // distinguished name of the authority
	Number     string    // CRL number, decimal; "" if the list has none
	ThisUpdate time.Time // of the loaded list
	NextUpdate time.Time
	Entries    int       // revoked certificates
	Checked    time.Time // last attempt to read the source
	Confirmed  time.Time // last attempt that succeeded
	Error      string    // why the last attempt failed; "" if it did not
	SaveError  string    // why the last good list could not be kept
}

// NewCRL checks the options, loads the list that was saved last and reads the
// file, if there is one. It makes no network call: see [CRL.Start]. A file
// that cannot be used is an error unless a saved list stands in for it.
func NewCRL(o CRLOptions) (*CRL, error) {
	if (o.URL == "") == (o.File == "") {
		return nil, errors.New("crl: want exactly one of URL and file")
	}
	if len(o.Issuers) == 0 || slices.Contains(o.Issuers, nil) {
		return nil, errors.New("crl: no issuer to check the signature with")
	}
	if o.MaxBytes < 0 || o.MaxBytes > maxCRLBytes {
		return nil, fmt.Errorf("crl: maximum size must be between 1 and %d bytes", maxCRLBytes)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultCRLBytes
	}
	if o.SoftFor < 0 || o.SoftFor > maxCRLSoft {
		return nil, fmt.Errorf("crl: soft time must be between 0 and %s", maxCRLSoft)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &CRL{o: o, issuers: slices.Clone(o.Issuers), softFor: o.SoftFor, client: o.Client}
	c.status.Name = o.File
	if o.URL != "" {
		u, err := url.Parse(o.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("crl: URL is not an http or https URL")
		}
		c.status.Name = u.Redacted()
		if c.client == nil {
			c.client, c.ownHTTP = newCRLClient()
		}
	}
	if o.Load != nil {
		// What was saved is checked like what is fetched. A failure only means
		// that nothing is loaded yet, which refuses certificates by itself.
		if data, err := o.Load(); err == nil && len(data) > 0 && int64(len(data)) <= o.MaxBytes {
			_ = c.install(data, false)
		}
	}
	if o.File != "" {
		if err := c.refresh(context.Background()); err != nil && c.set.Load() == nil {
			return nil, fmt.Errorf("crl: %w", err)
		}
	}
	return c, nil
}

// Start keeps the list fresh in the background until ctx ends or Close is
// called: it reads a URL at half of what remains until nextUpdate, at most an
// hour later, and a file whenever it changes. A second call does nothing.
func (c *CRL) Start(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started || c.closed {
		return
	}
	c.started = true
	ctx, c.cancel = context.WithCancel(ctx)
	c.wg.Go(func() { c.run(ctx) })
}

// Close ends the background work and waits for it. The list stays usable until
// it is out of date.
func (c *CRL) Close() {
	c.mu.Lock()
	c.closed = true
	if c.cancel != nil {
		c.cancel()
	}
	c.mu.Unlock()
	c.wg.Wait()
	if c.ownHTTP != nil {
		c.ownHTTP.CloseIdleConnections()
	}
}

func (c *CRL) run(ctx context.Context) {
	wait := time.Duration(0)
	if c.o.File != "" {
		wait = crlFilePoll // NewCRL has just read it
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := c.refresh(ctx); err != nil {
			failures++
		} else {
			failures = 0
		}
		timer.Reset(c.nextWait(failures))
	}
}

// nextWait spreads the gateways of a fleet by up to a fifth.
func (c *CRL) nextWait(failures int) time.Duration {
	wait := crlFilePoll
	if c.o.URL != "" {
		wait = crlMaxRefresh
		if set := c.set.Load(); set != nil {
			wait = min(set.nextUpdate.Sub(c.o.Now())/2, crlMaxRefresh)
		}
		wait = max(wait, crlMinRefresh)
		if failures > 0 {
			wait = min(crlMinBackoff<<min(failures-1, 10), crlMaxBackoff)
		}
	}
	return wait - time.Duration(rand.Int64N(int64(wait)/5))
}

// refresh reads the source once and records how that went.
func (c *CRL) refresh(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil { // the list comes from outside and so does its parser's next bug
			err = fmt.Errorf("reading the list failed badly: %v", p)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.status.Checked = c.o.Now()
		c.status.Error = ""
		if err != nil {
			c.status.Error = err.Error()
		} else {
			c.status.Confirmed = c.status.Checked
		}
	}()
	data, commit, err := c.fetch(ctx)
	if err != nil {
		return err
	}
	if data != nil {
		if err := c.install(data, true); err != nil {
			return err
		}
		commit()
	}
	if set := c.set.Load(); set == nil || !set.usable(c.o.Now(), 0) {
		return errors.New("the published list is out of date")
	}
	return nil
}

// install checks a list and puts it in place of the last one. A list that is
// out of date is installed too: it is not usable, but its entries count.
func (c *CRL) install(data []byte, save bool) error {
	next, err := parseCRL(data, c.issuers)
	if err != nil {
		return err
	}
	if c.o.Now().Before(next.thisUpdate) {
		return errors.New("thisUpdate is in the future")
	}
	last := c.set.Load()
	if last != nil {
		if last.sum == next.sum {
			return nil
		}
		if err := last.checkSuccessor(next); err != nil {
			return err
		}
	}
	c.set.Store(next)
	if save && c.o.Save != nil {
		err := c.o.Save(data)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.status.SaveError = ""
		if err != nil {
			c.status.SaveError = err.Error()
		}
	}
	return nil
}

// Status returns how the list stands now.
func (c *CRL) Status() CRLStatus {
	c.mu.Lock()
	s := c.status
	c.mu.Unlock()
	if set := c.set.Load(); set != nil {
		s.Loaded = true
		s.Usable = set.usable(c.o.Now(), c.softFor)
		s.Issuer = set.issuer.Subject.String()
		s.ThisUpdate, s.NextUpdate = set.thisUpdate, set.nextUpdate
		s.Number = crlDecimal(set.number)
		s.Entries = len(set.revoked)
	}
	return s
}

func crlDecimal(n *big.Int) string {
	if n == nil {
		return ""
	}
	return n.String()
}
