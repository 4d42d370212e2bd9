package entra

import (
	"cmp"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// defaultFullSweep heals what a lost change may have left behind. A delta token
// of the directory lasts seven days.
const defaultFullSweep = 24 * time.Hour

// Options configure a [Source]. Only Client is needed.
type Options struct {
	// Client talks to the tenant. It needs the application permission
	// Device.Read.All. The caller closes it.
	Client *msgraph.Client
	// Users lists the users too, so that a disabled or deleted account is
	// known. It needs User.Read.All.
	Users bool
	// RiskyUsers reads at most once a minute who is at risk. It implies Users:
	// only of somebody who is listed can be said that there is no risk. It needs
	// IdentityRiskyUser.Read.All and a P2 licence; without them the fact is not
	// supplied.
	RiskyUsers bool
	// GroupTenant is the id of the tenant, a GUID. If set, the groups of users with
	// too many for a token are looked up. It implies Users: who is disabled must not
	// keep them. It needs GroupMember.Read.All and User.Read.All.
	GroupTenant string
	// PinnedCertificates reads alternativeSecurityIds too and gives devices ids of
	// kind [decision.KindPinnedCertificate].
	PinnedCertificates bool
	// PartnerMDM says that a managed device whose object names no management system
	// is in one that is a partner of Intune: not every partner leaves its mdmAppId.
	// Its channel is then [decision.ChannelPartnerMDM], as it always is of a device
	// with the mdmAppId of a partner.
	PartnerMDM bool
	// FullSweep is the time between two complete listings. Default 24 h.
	FullSweep time.Duration
	// Now is the clock. Default [time.Now].
	Now func() time.Time
	// Logger receives what operators should read; nil: nothing is logged.
	Logger *slog.Logger
}

// Source is the directory of one tenant. It implements [source.Syncer] and
// [source.Looker] and is safe for concurrent use. What it remembers is lost with
// the process: the next one lists everything again.
type Source struct {
	o Options

	turn      source.Turn // of a Sync; guards what follows
	devices   feed
	users     feed
	known     registry
	people    people
	risk      riskList
	tally     tally // of devices
	userTally tally
	resyncs   int  // listings that the service asked for
	dirty     bool // something changed since the last sweep that was emitted
	emitted   bool

	silentUntil time.Time // no complete listing of users before
	silentErr   error     // why

	forgotten source.Forgotten

	mu    sync.Mutex
	stats Stats
	asked tally // of look-ups since the last complete listing
}

// New makes a source. It calls nobody. The error names a missing or wrong
// option.
func New(o Options) (*Source, error) {
	switch {
	case o.Client == nil:
		return nil, errors.New("entra: client is missing")
	case o.FullSweep < 0:
		return nil, errors.New("entra: time between complete listings is negative")
	}
	if o.GroupTenant != "" {
		tenant, ok := parseGUID(o.GroupTenant)
		if !ok {
			return nil, errors.New("entra: looking up groups needs the tenant's id, a GUID and not a domain")
		}
		o.GroupTenant = tenant.String()
	}
	o.Users = o.Users || o.RiskyUsers || o.GroupTenant != ""
	o.FullSweep = cmp.Or(o.FullSweep, defaultFullSweep)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Source{o: o, turn: source.NewTurn(), stats: Stats{UserRisk: riskOff}}, nil
}

// Facts implements [source.Source]. While risk cannot be read at all, a sweep
// takes it out ([source.Sweep.SetFacts]).
func (s *Source) Facts() decision.FactSet { return s.facts(true) }

func (s *Source) facts(withRisk bool) decision.FactSet {
	f := decision.Facts(decision.FactEnabled, decision.FactTrust, decision.FactCompliance, decision.FactManaged,
		decision.FactOS, decision.FactOwnership, decision.FactJailbroken)
	if s.o.Users {
		f |= decision.Facts(decision.FactUserEnabled)
	}
	if s.o.RiskyUsers && withRisk {
		f |= decision.Facts(decision.FactUserRisk)
	}
	return f
}

var (
	_ source.Syncer = (*Source)(nil)
	_ source.Looker = (*Source)(nil)

	_ source.LookupLimited = (*Source)(nil)
	_ source.Tombstoner    = (*Source)(nil)

	_ source.CertificatePinner = (*Source)(nil)
)
