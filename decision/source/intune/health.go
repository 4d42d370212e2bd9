package intune

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// The pace and the ages of what must be asked for device by device.
const (
	healthPerPoll = 4000                // devices that one poll asks about
	healthAgain   = 12 * time.Hour      // so old, an answer is asked for again, also without a check-in
	healthAge     = 24 * time.Hour      // so old, a good answer counts no more
	reportAge     = 7 * 24 * time.Hour  // nor does one that the device itself gave so long ago
	attestAge     = 30 * 24 * time.Hour // a computer attests when it starts
	healthTime    = time.Minute         // of one poll
	maxOdd        = 3                   // answers in a row that cannot be used end the round
)

// health is what is known of one Windows computer besides its record.
type health struct {
	// asked is when Intune last answered; zero: never. checkIn is the device's last
	// check-in then, and seen the one that is known now.
	asked, checkIn, seen time.Time
	refused              time.Time // when there was no answer, last
	protection           protection
	attestation          attestation
	// own are the facts of the record itself, which the answers are joined with.
	own facets
	// shown is what the record was given.
	shown facets
}

// facets are the facts that the answers bear on.
type facets struct {
	antivirus, malware, secureBoot, encrypted decision.Tri
	risk                                      decision.Level
	floor                                     bool // of the risk
	unreadable                                decision.FactSet
}

// healths remembers computers by Intune id. Nil: nothing is asked for.
type healths map[string]*health

// asksHealth reports whether a record is about a computer to ask about: Windows, and
// enrolled.
func asksHealth(v *decision.Verdict) bool {
	return v.Platform == decision.Windows && (v.Channel == decision.ChannelIntune || v.Channel == decision.ChannelCoManaged)
}

// note gives a record what is known besides it, and remembers to ask if nothing is.
// An outdated record is one that the fleet does not take.
func (h healths) note(v *decision.Verdict, outdated bool, now time.Time) {
	id := v.Keys[0].Value
	switch {
	case h == nil:
		return
	case !asksHealth(v):
		delete(h, id)
		return
	}
	known := h[id]
	if known == nil {
		known = &health{}
		h[id] = known
	}
	own := facets{encrypted: v.Encrypted, risk: v.Risk, floor: v.RiskFloor, unreadable: v.Unreadable}
	if outdated {
		old := *known
		old.own = own
		old.facets(now).give(v)
		return
	}
	known.own, known.seen = own, v.LastCheckIn
	known.shown = known.facets(now)
	known.shown.give(v)
}

// forget takes back what note gave, so that a record can be joined with a newer one.
func (h healths) forget(v *decision.Verdict) {
	if known := h[v.Keys[0].Value]; known != nil {
		known.own.give(v)
	}
}

func (h healths) prune(f *fleet) {
	for id := range h {
		if _, ok := f.get(decision.Key{Kind: decision.KindIntune, Value: id}); !ok {
			delete(h, id)
		}
	}
}

func (f facets) give(v *decision.Verdict) {
	v.Antivirus, v.Malware, v.SecureBoot, v.Encrypted = f.antivirus, f.malware, f.secureBoot, f.encrypted
	v.Risk, v.RiskFloor, v.Unreadable = f.risk, f.floor, f.unreadable
}

// facets are the facts as of now. A good answer has two ages, that of the question
// and that of what the device reported, and counts while both are young; a bad one
// counts until a newer answer. Where the record and an answer both know, the worse
// counts.
func (h *health) facets(now time.Time) facets {
	young := func(at time.Time, limit time.Duration) bool {
		return !at.IsZero() && now.Sub(at) < limit
	}
	asked := young(h.asked, healthAge)
	good := func(t, is decision.Tri, reported bool) decision.Tri {
		if t == is && !(asked && reported) {
			return decision.Unknown
		}
		return t
	}
	p, a, f := &h.protection, &h.attestation, h.own
	reported, attested := young(p.reported, reportAge), young(a.at, attestAge)
	f.antivirus = good(p.antivirus, decision.Yes, reported)
	f.malware = good(p.malware, decision.No, reported)
	if f.malware == decision.Yes {
		// Never less: no malware is no word on other threats, and malware none that
		// there is nothing worse.
		f.floor = f.floor || f.risk == decision.LevelUnknown
		f.risk = max(f.risk, p.risk)
	}
	f.secureBoot = good(a.secureBoot, decision.Yes, attested)
	switch locked := good(a.bitLocker, decision.Yes, attested); {
	case f.encrypted == decision.Unknown:
		f.encrypted = locked
	case locked == decision.No && attested: // an old one may be mended since
		f.encrypted = decision.No
	case f.encrypted == decision.Yes && a.unreadable.Has(decision.FactEncrypted):
		f.encrypted = decision.Unknown // the record's yes is no answer to that
	}
	f.unreadable |= p.unreadable | a.unreadable
	for fact, is := range map[decision.Fact]decision.Tri{
		decision.FactAntivirus: f.antivirus, decision.FactMalware: f.malware, decision.FactSecureBoot: f.secureBoot, decision.FactEncrypted: f.encrypted,
	} {
		if is != decision.Unknown {
			f.unreadable &^= decision.Facts(fact)
		}
	}
	return f
}

// due returns up to n computers to ask about: those never asked about, then those
// that checked in since, then those whose answers grow old; of each the ones that
// checked in last come first, and behind them all those that had no answer.
func (h healths) due(now time.Time, n int) []string {
	type candidate struct {
		id    string
		class int
		at    time.Time
	}
	var list []candidate
	for id, known := range h {
		last := 0
		if known.refused.After(known.asked) {
			last = 3 // a few that never answer must not take the turn of all others
		}
		switch age := now.Sub(known.asked); {
		case known.asked.IsZero():
			list = append(list, candidate{id, last, known.seen})
		case !known.seen.Equal(known.checkIn):
			list = append(list, candidate{id, last + 1, known.seen})
		case age < 0 || age >= healthAgain:
			list = append(list, candidate{id, last + 2, known.seen})
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(a.class-b.class, b.at.Compare(a.at), strings.Compare(a.id, b.id))
	})
	ids := make([]string, min(n, len(list)))
	for i := range ids {
		ids[i] = list[i].id
	}
	return ids
}

// askHealths asks about the computers whose turn it is.
func (s *Source) askHealths(ctx context.Context, now time.Time) {
	s.mu.Lock()
	if s.healths == nil {
		s.mu.Unlock()
		return
	}
	ids := s.healths.due(now, healthPerPoll)
	seen := make(map[string]time.Time, len(ids)) // the check-ins that the questions are about
	for _, id := range ids {
		seen[id] = s.healths[id].seen
	}
	s.mu.Unlock()
	if !s.barred("health") {
		limited, cancel := context.WithTimeout(ctx, healthTime)
		s.ask(limited, ids, seen, now)
		cancel()
	}
}

// refreshHealths gives the fleet's records what is known of their computers now.
func (s *Source) refreshHealths(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, known := range s.healths {
		f := known.facets(now)
		if f == known.shown {
			continue
		}
		v, ok := s.fleet.get(decision.Key{Kind: decision.KindIntune, Value: id})
		if !ok {
			continue
		}
		known.shown = f
		f.give(&v)
		if s.fleet.put(v) {
			s.dirty = true
		}
	}
}

// ask asks about computers, in batches, until all are asked about or something says
// that it is enough for now.
func (s *Source) ask(ctx context.Context, ids []string, seen map[string]time.Time, now time.Time) {
	each := 1
	if s.o.Protection && s.o.Attestation {
		each = 2
	}
	failed := 0
	for part := range slices.Chunk(ids, 20/each) {
		answers, err := s.askHealth(ctx, part, now)
		if err != nil {
			s.refused("health", err)
			return
		}
		for i, a := range answers {
			switch {
			case a.err == nil:
				failed = 0
				s.once("health", nil)
				s.answered(part[i], a, now, seen[part[i]])
			case isThrottled(a.err), kindOf(a.err) == msgraph.KindPermission:
				s.refused("health", a.err)
				return
			default:
				// Perhaps something about this device: others must get their turn.
				s.refused("health", a.err)
				s.postpone(part[i], now)
				if failed++; failed >= maxOdd {
					return
				}
			}
		}
	}
}

// postpone leaves a computer alone that could not be asked about.
func (s *Source) postpone(id string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.healths[id]; known != nil {
		known.refused = now
	}
}

func (s *Source) answered(id string, a healthAnswer, now, seen time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.healths[id]
	if known == nil {
		return
	}
	known.asked, known.checkIn = now, seen
	if !(known.protection.malware == decision.Yes && a.protection.malware == decision.Unknown) {
		known.protection = a.protection // no word is no news that the malware is gone
	}
	known.attestation = a.attestation
}

// healthAnswer is what Intune says about one computer.
type healthAnswer struct {
	protection  protection
	attestation attestation
	err         error
}

// askHealth asks about up to 20 computers at once, and about what was found on those
// that are not clean.
func (s *Source) askHealth(ctx context.Context, ids []string, now time.Time) ([]healthAnswer, error) {
	d := &decoder{now: now}
	var calls []msgraph.Request
	for _, id := range ids {
		if s.o.Protection {
			calls = append(calls, below(id, "/windowsProtectionState", nil))
		}
		if s.o.Attestation {
			calls = append(calls, below(id, "", url.Values{"$select": {"id,deviceHealthAttestationState"}}))
		}
	}
	answers, err := s.o.Client.Batch(ctx, calls)
	if err != nil {
		return nil, err
	}
	next := func() msgraph.BatchAnswer {
		a := answers[0]
		answers = answers[1:]
		return a
	}
	out := make([]healthAnswer, len(ids))
	var infected []int
	for i, id := range ids {
		to := &out[i]
		if s.o.Protection {
			to.read(next(), func(body []byte) (err error) {
				to.protection, err = parseProtection(d, body)
				return err
			})
			if to.err == nil && to.protection.look {
				infected = append(infected, i)
			}
		}
		if s.o.Attestation {
			to.read(next(), func(body []byte) (err error) {
				to.attestation, err = parseAttestation(d, id, body)
				return err
			})
		}
	}
	err = s.askMalware(ctx, d, ids, out, infected)
	s.addOdd(d)
	return out, err
}

func (s *Source) askMalware(ctx context.Context, d *decoder, ids []string, out []healthAnswer, infected []int) error {
	if len(infected) == 0 {
		return nil
	}
	calls := make([]msgraph.Request, len(infected))
	for n, i := range infected {
		calls[n] = below(ids[i], "/windowsProtectionState/detectedMalwareState", nil)
	}
	answers, err := s.o.Client.Batch(ctx, calls)
	if err != nil {
		return err
	}
	for n, i := range infected {
		out[i].read(answers[n], func(body []byte) error { return out[i].protection.addMalware(d, body) })
	}
	return nil
}

// read takes one answer. That Intune has nothing of the kind is an answer.
func (a *healthAnswer) read(b msgraph.BatchAnswer, parse func([]byte) error) {
	err := b.Err
	if err == nil {
		err = parse(b.Body)
	} else if nothingThere(err) {
		err = nil
	}
	if a.err == nil {
		a.err = err
	}
}

// nothingThere reports whether Graph itself says so: a 404 without its code comes
// from something on the way.
func nothingThere(err error) bool {
	var e *msgraph.Error
	return errors.As(err, &e) && e.Kind == msgraph.KindNotFound && e.Code != ""
}

func below(id, path string, query url.Values) msgraph.Request {
	return msgraph.Request{
		Endpoint: msgraph.IntuneDevices, Path: devicesPath + "/" + url.PathEscape(id) + path, Query: query, Priority: "Low",
	}
}

// addOdd counts values that could not be used.
func (s *Source) addOdd(d *decoder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, n := range d.fields {
		if s.stats.Fields == nil {
			s.stats.Fields = map[string]int{}
		}
		s.stats.Fields[what] += n
	}
}
