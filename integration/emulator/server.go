package emulator

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Defaults of [Options].
const (
	DefaultTenant   = "3aa1c2f0-5b7e-4d8a-9c61-0d2e4f6a8b10"
	DefaultClientID = "7e5d3c1b-2a40-4f6e-8d9c-b1a2c3d4e5f6"
	DefaultSecret   = "emulator-secret"
	TenantDomain    = "example.onmicrosoft.com" // also accepted as the tenant

	AdminUser     = `CORP\gatehouse` // of AdminService
	AdminPassword = "emulator-admin"
	AdminToken    = "emulator-admin-token" // bearer token of AdminService
)

// Options make a [Server]. The zero value is good for most tests.
type Options struct {
	Devices                  int              // default 100; the first are the named cases
	Seed                     uint64           // of the fleet
	Clock                    func() time.Time // default time.Now
	Tenant, ClientID, Secret string           // defaults: the constants above

	// Strict also refuses, with 400, what the real service answers but a careful
	// client never asks: a large list without $select. Without it that is a
	// violation alone.
	Strict bool
	// NoAadDeviceIDFilter makes Defender refuse $filter on aadDeviceId with
	// ODataError, as one of its documents says.
	NoAadDeviceIDFilter bool
	// Negotiate, when set, stands before AdminService for calls without a basic or
	// bearer credential; what it lets through is signed in. Nil: such calls get
	// 401 with WWW-Authenticate: Negotiate.
	Negotiate func(http.Handler) http.Handler
}

// Server is the fake Microsoft. Its methods are safe for concurrent use.
type Server struct {
	o  Options
	ca *authority // of its TLS certificate

	mu      sync.RWMutex // guards what follows up to the blank line
	fleet   *Fleet
	changes changes

	login  login
	limits limits
	faults faults
	jobs   jobs
	calls  [len(routes)]atomic.Int64
	pace   pace

	vmu        sync.Mutex
	violations []string
	dropped    int
}

// maxViolations bounds what Violations keeps.
const maxViolations = 1000

// New makes a server with its fleet. It does no I/O.
func New(o Options) *Server {
	o.Devices = cmp.Or(o.Devices, 100)
	o.Tenant = cmp.Or(o.Tenant, DefaultTenant)
	o.ClientID = cmp.Or(o.ClientID, DefaultClientID)
	o.Secret = cmp.Or(o.Secret, DefaultSecret)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s := &Server{o: o, ca: newAuthority()}
	s.fleet = newFleet(o.Devices, o.Seed, o.Clock())
	s.login.init(o)
	s.limits.init(len(s.fleet.users))
	s.changes.init(s.fleet)
	return s
}

// Devices is the fleet in order. Read and change the devices only inside [Server.Update].
func (s *Server) Devices() []*Device {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.fleet.all()
}

// Update changes the fleet as one step. Afterwards the services act on what changed:
// the directory's delta answers it; a new compliance state or posture fact of an
// Intune record counts as a check-in unless LastSync was set too; a new compliance
// state is copied to the directory unless that was set too.
func (s *Server) Update(change func(f *Fleet)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.fleet)
	s.changes.record(s.fleet, s.o.Clock())
	if s.fleet.stale {
		s.fleet.reindex()
	}
}

// Calls is how often each route was called, refused and failed calls included.
// Routes without a call are absent.
func (s *Server) Calls() map[string]int {
	m := map[string]int{}
	for i := range s.calls {
		if n := s.calls[i].Load(); n > 0 {
			m[routes[i].name] = int(n)
		}
	}
	return m
}

// Violations are the calls that the real service would have refused, and those that
// a careful client never makes, in order. At most 1000 are kept.
func (s *Server) Violations() []string {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	list := slices.Clone(s.violations)
	if s.dropped > 0 {
		list = append(list, fmt.Sprintf("and %d more", s.dropped))
	}
	return list
}

// Check fails the test when there are violations.
func (s *Server) Check(t testing.TB) {
	t.Helper()
	for _, v := range s.Violations() {
		t.Errorf("emulator: %s", v)
	}
}

func (s *Server) violate(text string) {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	if len(s.violations) >= maxViolations {
		s.dropped++
		return
	}
	s.violations = append(s.violations, text)
}

// Grant gives the application a permission, or takes it away. As in Entra ID it
// shows in tokens that are issued later. All permissions are granted at first. An
// unknown role panics.
func (s *Server) Grant(role string, granted bool) {
	for _, list := range rolesOf {
		if slices.Contains(list, role) {
			s.login.grant(role, granted)
			return
		}
	}
	panic("emulator: unknown role " + role)
}

// Roles are the permissions that Grant knows, sorted.
func Roles() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for list := range maps.Values(rolesOf) {
			for _, r := range list {
				if !yield(r) {
					return
				}
			}
		}
	})
}

// CAPEM is the certificate, in PEM, of the authority of the server's TLS certificate.
func (s *Server) CAPEM() []byte { return s.ca.pem }

// Roots is a pool with the authority of the server's TLS certificate.
func (s *Server) Roots() *x509.CertPool { return s.ca.pool() }
