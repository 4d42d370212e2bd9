package emulatortest

import (
	"crypto/x509"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// Clock is the time of a source and of the emulator: the present, moved on by
// whatever a test says. The budgets of the connection keep real time. The zero value
// is ready to use, and safe for concurrent use.
type Clock struct{ ahead atomic.Int64 }

// Now is the time on the clock.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// Stand is an emulator that serves, and a connection to its tenant.
type Stand struct {
	Server *emulator.Server
	Tenant *microsoft.Tenant
	Clock  *Clock
}

// Connect starts an emulator, with a clock of its own unless o has one, and connects
// to every service of it. change, if any, may change the options of the connection;
// roots trust the emulator. Both end with the test.
func Connect(t testing.TB, o emulator.Options, change func(mo *microsoft.Options, roots *x509.CertPool)) *Stand {
	t.Helper()
	st := &Stand{Clock: &Clock{}}
	if o.Clock == nil {
		o.Clock = st.Clock.Now
	}
	st.Server = emulator.New(o)
	base, roots, stop := st.Server.Start()
	t.Cleanup(stop)
	mo := microsoft.Options{
		Name: "test", Tenant: emulator.DefaultTenant, ClientID: emulator.DefaultClientID,
		Credential: microsoft.CredentialOptions{Secret: emulator.DefaultSecret}, RootCAs: roots,
		Cloud: microsoft.Cloud{
			Authority: base + "/login", Graph: base + "/graph", Defender: base + "/defender", Intune: base + "/nac-resource",
		},
	}
	if change != nil {
		change(&mo, roots)
	}
	tenant, err := microsoft.Connect(mo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tenant.Close)
	st.Tenant = tenant
	return st
}
