package decision

import (
	"sync/atomic"
	"time"
)

// Cause says why a fact is unknown. The zero value is no cause. Causes up to
// CauseLookupTimeout are ours: the outcome is undecided. The later ones are
// theirs: a healthy source simply does not say.
type Cause uint8

// The causes.
const (
	CauseNone          Cause = iota
	CauseNotLoaded           // no source that could tell has been read yet
	CauseExpired             // the last good answer is too old
	CauseSourceFailing       // the source answers with errors
	CauseThrottled           // the source told us to wait
	CauseLookupTimeout       // the one bounded look-up took too long
	CauseNoSuchDevice        // every source answered; none has the device
	CauseNotReported         // the sources that have the device do not report this fact
)

// Ours reports whether the cause is the gateway's, not the device's.
func (c Cause) Ours() bool { return c >= CauseNotLoaded && c <= CauseLookupTimeout }

// Authority says in what capacity a source speaks, and with that whose word
// counts first in [Merge]. A lower constant comes first; sources of the same
// capacity come in the order of the configuration.
type Authority uint8

// The authorities. The zero value is a management system of its own, such as
// Intune or a partner's.
const (
	AuthorityManagement Authority = iota
	AuthorityConfigMgr            // its compliance counts where the management system defers to it
	AuthorityDirectory            // a directory that copies the verdict of the management system
	AuthorityNAC                  // a yes-or-no interface for network access
	AuthorityFile                 // an inventory file: what nobody else knows
)

// SourceState is the live health of one source. It is shared by every posture
// that holds facts of the source, so that a successful check renews them all
// without touching them. Safe for concurrent use.
type SourceState struct {
	// Name is the source's configured name, a metric label.
	Name string
	// Index is the source's place in the configuration, from 0.
	Index int
	// Authoritative sources decide whether a device exists. Fixed after start.
	Authoritative bool
	// Authority is the source's rank where sources disagree. Fixed after start.
	Authority Authority
	// Tenant is the tenant that the source reads; "" if there is no such thing. A
	// directory copies what the management system of its tenant says. Fixed after
	// start.
	Tenant string
	// Enrols says of a management system that it has a record of every device that
	// it manages: a directory's copy of its word about any other device is out of
	// date. Fixed after start.
	Enrols bool
	// Asked says that the source is only asked about single devices: how long ago
	// that was says nothing about another one. Fixed after start.
	Asked bool

	supplies  atomic.Uint32
	loaded    atomic.Bool
	failing   atomic.Uint32
	confirmed atomic.Int64
}

// Supplies returns the facts that the source can report.
func (s *SourceState) Supplies() FactSet { return FactSet(s.supplies.Load()) }

// SetSupplies says which facts the source can report.
func (s *SourceState) SetSupplies(f FactSet) { s.supplies.Store(uint32(f)) }

// Loaded reports whether the source ever answered (or a snapshot did for it).
func (s *SourceState) Loaded() bool { return s.loaded.Load() }

// Failing returns why the source fails now, or CauseNone.
func (s *SourceState) Failing() Cause { return Cause(s.failing.Load()) }

// Confirmed returns when the source was last read completely, as [Mono].
func (s *SourceState) Confirmed() int64 { return s.confirmed.Load() }

// Confirm records a complete good read at t and clears the failure.
func (s *SourceState) Confirm(t time.Time) {
	s.confirmed.Store(Mono(t))
	s.failing.Store(uint32(CauseNone))
	s.loaded.Store(true)
}

// Restore records a good read at t in the past without clearing a failure: what
// a persisted snapshot or an over-age file is worth.
func (s *SourceState) Restore(t time.Time) {
	s.confirmed.Store(Mono(t))
	s.loaded.Store(true)
}

// Fail records that the source fails; what it said before stays usable for the
// policy's stale_if_error.
func (s *SourceState) Fail(c Cause) { s.failing.Store(uint32(c)) }

// Evidence is one source's part in a posture.
type Evidence struct {
	State *SourceState
	// Found is true if the source has the device.
	Found bool
	// Confirmed is the record's own time as [Mono]; 0 means State.Confirmed.
	Confirmed int64
	// Cause is why a look-up for this device gave no answer, if it did not.
	Cause Cause
	// LastCheckIn and EvaluatedAt are the ages that the source itself reports.
	LastCheckIn, EvaluatedAt time.Time
}

func (e *Evidence) confirmed() int64 {
	if e.Confirmed != 0 {
		return e.Confirmed
	}
	return e.State.Confirmed()
}

// Posture is everything that the sources say about one device and its user:
// the verdicts merged, each fact with the source that it came from. It is
// immutable once built, except for the shared source states, and may be kept
// as long as [Posture.Generation] is current.
type Posture struct {
	Device
	User UserRecord

	// Membership is about the groups of a user whose token has too many to list;
	// nil if no source can tell.
	Membership *Membership

	// Evidence has one entry per configured source, in configuration order.
	Evidence []Evidence
	// Ambiguous is true if the device ids of the request belong to different
	// records, or only some of them to a record.
	Ambiguous bool
	// Revoked is what the local revocation list says about device and user.
	Revoked *Revocation
	// Conflicts counts facts on which sources disagree.
	Conflicts int
	// Generation of the directory that this posture was built from.
	Generation uint64

	from [NumFacts]uint8 // evidence index + 1; 0 if nobody reports the fact
	// unheard are facts about which a source was never heard whose word would count
	// first, or could be worse.
	unheard FactSet
	// barred are facts about which a source said something unreadable that would
	// count first, or could be worse.
	barred FactSet
	// delegated: the management system left compliance to Configuration Manager, which
	// answered.
	delegated bool
	// disputed are the facts on which sources disagree.
	disputed FactSet
	trail    *trail // set only while [Weigh] works
	jitter   int64  // per mille, -100..100, of every age limit
}

// Revocation is one entry of the local revocation list that matches a request.
type Revocation struct {
	ID      string // of the entry
	Subject string // "device", "user", "certificate" or "session"
	Reason  string // the operator's words, shown to operators only
	Since   time.Time
	Until   time.Time // zero: until released
}

// Known reports whether any source has the device.
func (p *Posture) Known() bool {
	for i := range p.Evidence {
		if p.Evidence[i].Found {
			return true
		}
	}
	return false
}

// Source returns the name of the source that f came from, or "".
func (p *Posture) Source(f Fact) string {
	if i := p.from[f]; i > 0 {
		return p.Evidence[i-1].State.Name
	}
	return ""
}

// Disputed returns the facts on which sources disagree.
func (p *Posture) Disputed() FactSet { return p.disputed }

// Freshness of a fact.
type Freshness uint8

// The degrees of freshness. FreshnessNone means that no fact was consulted.
const (
	FreshnessNone Freshness = iota
	Fresh
	Stale
	Expired
)

var freshnessNames = [...]string{"none", "fresh", "stale", "expired"}

// String returns the name used in logs.
func (f Freshness) String() string { return name(freshnessNames[:], int(f)) }

// Ages are the limits of a policy: a fact is fresh up to MaxAge, then stale up
// to StaleIfError more while its source is failing, then expired.
type Ages struct {
	MaxAge       time.Duration
	StaleIfError time.Duration
}

// freshness of the evidence at the given Mono time.
func (p *Posture) freshness(e *Evidence, now int64, a Ages) Freshness {
	age := now - e.confirmed()
	limit := int64(a.MaxAge)
	limit += limit / 1000 * p.jitter
	if age <= limit {
		return Fresh
	}
	if e.State.Failing() != CauseNone {
		grace := int64(a.StaleIfError)
		if age <= limit+grace+grace/1000*p.jitter {
			return Stale
		}
	}
	return Expired
}

// heard reports whether good news about f from the evidence with the given number,
// counted from 1, is an answer: nobody whose word comes first, or whose bad word
// would count, was never heard, or heard too long ago.
func (p *Posture) heard(f Fact, from uint8, now int64, a Ages) bool {
	if len(p.Evidence) < 2 {
		return true
	}
	if p.unheard.Has(f) {
		return false
	}
	for i := range p.Evidence {
		ev := &p.Evidence[i]
		if ev.State.Asked || !ev.State.mayReport(f) {
			continue
		}
		// A file that nobody keeps up to date is no sign of anything worse.
		couldBeWorse := worstCounts.Has(f) && ev.State.Authority < AuthorityFile
		if !couldBeWorse && !p.before(i, int(from-1)) {
			continue
		}
		switch fresh := p.freshness(ev, now, a); {
		case fresh == Expired, fresh == Stale && !ev.Found:
			return false // it may have learnt of the device, or of something worse, since
		}
	}
	return true
}

// before reports whether source i is heard before source j.
func (p *Posture) before(i, j int) bool {
	a, b := p.Evidence[i].State.Authority, p.Evidence[j].State.Authority
	return a < b || a == b && i < j
}

// ComplianceAt is what may be said about the device's compliance to somebody who
// does not know its age: a good verdict only as long as ages and grace allow it,
// none while it is unclear which device it is.
func (p *Posture) ComplianceAt(now time.Time, a Ages) Compliance {
	from := p.from[FactCompliance]
	switch {
	case p.Ambiguous || from == 0:
		return ComplianceUnknown
	case p.Compliance != Compliant && p.Compliance != InGracePeriod:
		return p.Compliance
	case !p.heard(FactCompliance, from, Mono(now), a), p.freshness(&p.Evidence[from-1], Mono(now), a) == Expired:
		return ComplianceUnknown
	case p.Compliance == InGracePeriod && !p.GraceUntil.IsZero() && !now.Before(p.GraceUntil):
		return NonCompliant
	}
	return p.Compliance
}

// Jitter spreads expiry by up to ten per cent either way, from the device's id,
// so that an outage does not become one cliff for everybody.
func Jitter(k Key) int64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(k.Value) {
		h = (h ^ uint64(k.Value[i])) * prime
	}
	return int64(h%201) - 100
}
