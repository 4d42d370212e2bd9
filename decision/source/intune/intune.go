package intune

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// Options configure a [Source]. Only Client is needed.
type Options struct {
	// Client is the connection to the tenant. The caller closes it.
	Client *msgraph.Client
	// FullSweep is the time between two complete listings. Default 1 h. Polls in
	// between ask for changes only.
	FullSweep time.Duration
	// Reasons fetches the settings that a noncompliant device fails, in the
	// background, for the person who is refused.
	Reasons bool
	// ReasonsPerPoll bounds the devices whose reasons one poll fetches, those
	// that checked in last first. Default 50.
	ReasonsPerPoll int
	// StrictDefault takes "compliant" for not evaluated while the tenant counts
	// devices without a policy as compliant (Graph secureByDefault=false) and
	// no policy is known to be assigned to the device. Each poll checks some
	// thousand devices, so a large fleet takes hours after every start. The
	// tenant setting itself is the better cure.
	StrictDefault bool
	// Protection reads what Windows' own antivirus says (windowsProtectionState):
	// whether it works, and malware. Attestation reads what Windows computers
	// measured when they started (deviceHealthAttestationState): secure boot and
	// BitLocker. Both cost a call for each computer and check-in, made after a poll
	// ([source.Follower]), which asks about up to 4,000 computers for at most one
	// minute: a larger fleet takes several polls after every start, in which the facts
	// are unknown.
	Protection, Attestation bool
	// PatchWithin takes an Android device for updated if its security patch level
	// is not older. 0: Intune says nothing about updates.
	PatchWithin time.Duration
	// ExportAbove is the number of devices from which an export job replaces
	// most of the paged listings. Default 20,000; negative: never. An export has
	// no threat level and does not say who decides about compliance, so those
	// are as old as the last poll that brought the device, and at least one
	// listing a day is paged.
	ExportAbove int
	// Now is the clock. Default [time.Now].
	Now func() time.Time
	// Logger receives what operators should read; nil: nothing is logged.
	Logger *slog.Logger
}

// The defaults and fixed limits.
const (
	defaultFullSweep   = time.Hour
	defaultReasons     = 50
	defaultExportAbove = 20_000

	overlap         = 5 * time.Minute  // of two polls: clocks differ, and records become visible late
	connectorsAge   = 15 * time.Minute // how often connectors are read
	connectorsTrust = 24 * time.Hour   // so long, what was read of them last counts
	settingsTrust   = 24 * time.Hour   // so long, settings that an earlier process read may be laxer than the default
	barredFor       = 15 * time.Minute // what lacks a permission waits so long
	pagedEvery      = 24 * time.Hour   // exports never replace all paged listings
	clockSkew       = 5 * time.Minute  // between the service and the gateway
	futureLimit     = 24 * time.Hour   // a later date that a device gave is a wrong clock
	defaultCheckIn  = 30 * 24 * time.Hour
	maxCheckInDays  = 365
)

// Source is Intune as a point of information. It lists its devices and can be
// asked for one by Intune id, Entra device id or serial number. It has no
// goroutine, but Watch asks for what a Sync could not read, and is safe for
// concurrent use.
type Source struct {
	o Options

	mu     sync.Mutex // guards what follows; never held during a call
	fleet  fleet
	tenant tenant
	// early is what look-ups brought before the first listing: of two records of one
	// device the older one must not be believed then either.
	early fleet
	// dirty is true if the fleet is not what the last sweep emitted.
	dirty   bool
	emitted bool
	// during holds what look-ups brought while a listing is under way, whose
	// pages may be older. Nil: none is.
	during map[decision.Key]*decision.Verdict
	// fullDue and pagedDue ask for a complete listing, and for one that is paged.
	fullDue, pagedDue bool
	hearing           hearing
	notes             notes
	// skipFailing is true while noncompliant devices are too many to poll.
	skipFailing                     bool
	lastFull, lastPaged, lastListed time.Time
	reasons                         reasons
	proofs                          proofs
	healths                         healths
	watched                         watched
	stats                           Stats
	barredAt                        map[string]time.Time
	loggedOnce                      map[string]bool
}

var (
	_ source.Syncer = (*Source)(nil)
	_ source.Looker = (*Source)(nil)

	_ source.CheckInRequester = (*Source)(nil)
)

// New returns a source. It does no remote work.
func New(o Options) (*Source, error) {
	if o.Client == nil {
		return nil, errors.New("intune: no client of a Microsoft tenant")
	}
	if o.FullSweep < 0 || o.ReasonsPerPoll < 0 || o.PatchWithin < 0 {
		return nil, errors.New("intune: negative interval or count")
	}
	if o.FullSweep == 0 {
		o.FullSweep = defaultFullSweep
	}
	if o.ReasonsPerPoll == 0 {
		o.ReasonsPerPoll = defaultReasons
	}
	if o.ExportAbove == 0 {
		o.ExportAbove = defaultExportAbove
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Source{
		o: o, tenant: tenant{checkIn: defaultCheckIn},
		reasons: reasons{due: map[string]time.Time{}, done: map[string]time.Time{}},
		proofs:  proofs{known: map[string]proof{}, pending: map[string]bool{}},
		hearing: hearing{unheard: make(chan struct{}, 1)},
	}
	if o.Protection || o.Attestation {
		s.healths = healths{}
	}
	return s, nil
}

var facts = decision.Facts(
	decision.FactManaged, decision.FactCompliance, decision.FactLifecycle, decision.FactEncrypted,
	decision.FactJailbroken, decision.FactOS, decision.FactOwnership, decision.FactOwner,
	decision.FactCheckIn, decision.FactRisk, decision.FactSensor, decision.FactSupervised,
)

// Facts implements [source.Source]. What must be switched on is no fact without it.
func (s *Source) Facts() decision.FactSet {
	all := facts
	if s.o.Protection {
		all |= decision.Facts(decision.FactAntivirus, decision.FactMalware)
	}
	if s.o.Attestation {
		all |= decision.Facts(decision.FactSecureBoot)
	}
	if s.o.PatchWithin > 0 {
		all |= decision.Facts(decision.FactUpdated)
	}
	return all
}

// once logs a condition that lasts once until it ends.
func (s *Source) once(what string, err error) {
	s.mu.Lock()
	logged := s.loggedOnce[what]
	if s.loggedOnce == nil {
		s.loggedOnce = map[string]bool{}
	}
	s.loggedOnce[what] = err != nil
	s.mu.Unlock()
	if err != nil && !logged {
		s.o.Logger.Warn("intune does not tell "+what, "error", err)
	}
}
