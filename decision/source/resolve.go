package source

import (
	"slices"

	"github.com/gatehouse-project/gatehouse/decision"
)

// resolution is how the device ids of one request lead to one record in every
// source.
type resolution struct {
	matches []Match          // per source
	causes  []decision.Cause // per source: why it gave no answer
	asked   []decision.Key   // the request's own ids
	keys    []decision.Key   // asked, and every id of the records found
	why     reader           // on whose behalf
	// ambiguous: the ids belong to different records, or only some of them to
	// one.
	ambiguous bool
	// undecided: whether the ids belong together depends on a source that has
	// not answered.
	undecided bool
	// settled: every source has answered, so that the posture holds until
	// something changes.
	settled bool
}

// resolve finds the device in every source. The request's ids come first. Then
// the ids of each record found lead to the same device in the other sources, so
// that a source which only knows serial numbers serves a request that shows an
// Entra id.
func (d *Directory) resolve(asked []decision.Key, causes []decision.Cause, why reader) *resolution {
	s := &resolution{
		matches: make([]Match, len(d.runners)),
		causes:  make([]decision.Cause, len(d.runners)),
		asked:   asked,
		keys:    append([]decision.Key(nil), asked...),
		why:     why,
		settled: true,
	}
	copy(s.causes, causes)
	if len(asked) == 0 {
		return s
	}
	for i, r := range d.runners {
		s.matches[i] = r.findAll(asked, why)
		s.ambiguous = s.ambiguous || s.matches[i].Ambiguous
		s.learn(i)
	}
	s.follow(d)
	s.judge(d)
	for i, r := range d.runners {
		if s.matches[i].Verdict == nil && !s.matches[i].Answered && s.causes[i] == decision.CauseNone {
			s.causes[i] = unansweredCause(r)
		}
		s.settled = s.settled && !s.undecided && s.causes[i] == decision.CauseNone && !s.matches[i].Unconfirmed && (r.complete() || s.matches[i].Verdict != nil)
	}
	return s
}

// learn adds the ids of the record found in source i.
func (s *resolution) learn(i int) {
	v := s.matches[i].Verdict
	if v == nil {
		return
	}
	for _, k := range v.Keys {
		if !hasKey(s.keys, k) {
			s.keys = append(s.keys, k)
		}
	}
}

// follow looks for the device, by the ids learnt, in the sources that do not
// have it under the request's own.
func (s *resolution) follow(d *Directory) {
	for range d.runners { // each round adds a source, or is the last
		grown := false
		for i, r := range d.runners {
			left := !s.matches[i].GoneSince.IsZero() // a record that there is would count
			if s.matches[i].Verdict != nil && !left || s.matches[i].Ambiguous {
				continue
			}
			m := r.findLinked(s.keys, s.why)
			if left && !m.Ambiguous && (m.Verdict == nil || !m.GoneSince.IsZero()) {
				continue
			}
			if m.Verdict == nil && !m.Ambiguous {
				s.matches[i].Answered = s.matches[i].Answered && m.Answered
				s.matches[i].Unconfirmed = s.matches[i].Unconfirmed || m.Unconfirmed
				continue
			}
			s.matches[i] = m
			s.ambiguous = s.ambiguous || m.Ambiguous
			s.learn(i)
			grown = true
		}
		if !grown {
			return
		}
	}
}

// findLinked is Find for ids that a record of another source carries. A serial
// number is the weakest link: makers and virtual machines repeat them. It counts
// only if no other id leads anywhere, and a repeated one then leads nowhere.
func (r *Runner) findLinked(keys []decision.Key, why reader) Match {
	var strong, serials []decision.Key
	for _, k := range keys {
		if k.Kind == decision.KindSerial {
			serials = append(serials, k)
		} else {
			strong = append(strong, k)
		}
	}
	m := r.findAll(strong, why)
	if m.Verdict != nil || m.Ambiguous || len(serials) == 0 {
		return m
	}
	bySerial := r.findAll(serials, why)
	if bySerial.Ambiguous || !bySerial.GoneSince.IsZero() { // nor may it lead to what was once
		bySerial = Match{Answered: true}
	}
	if len(strong) > 0 {
		bySerial.Answered = bySerial.Verdict != nil || bySerial.Answered && m.Answered
	}
	return bySerial
}

// judge decides whether the request's ids name one device: every one of them
// must be an id of the records found, and the records must hang together.
func (s *resolution) judge(d *Directory) {
	var linked []decision.Key
	records := 0
	for _, m := range s.matches {
		if m.Verdict != nil {
			records++
		}
	}
	if records == 0 || s.ambiguous {
		return
	}
	// Start from one record and join those that share an id with it.
	joined := make([]bool, len(s.matches))
	for n := 0; n < records; {
		before := n
		for i, m := range s.matches {
			if m.Verdict == nil || joined[i] || n > 0 && !shareKey(linked, m.Verdict.Keys) {
				continue
			}
			joined[i] = true
			n++
			linked = append(linked, m.Verdict.Keys...)
		}
		if n == before {
			s.ambiguous = true // records that share no id
			return
		}
	}
	for _, k := range s.asked {
		if hasKey(linked, k) {
			continue
		}
		if !slices.ContainsFunc(d.runners, func(r *Runner) bool { return r.knows(k.Kind) }) {
			continue // no source can say whose id it is
		}
		if s.answered(d, k) {
			s.ambiguous = true
			return
		}
		s.undecided = true
	}
}

// answered reports whether every source could say whether it knows the id.
func (s *resolution) answered(d *Directory, k decision.Key) bool {
	for i, r := range d.runners {
		if s.causes[i].Ours() || !r.find(k, s.why).Answered {
			return false
		}
	}
	return true
}

// unansweredCause is why a source that was not asked says nothing. One that
// lists its devices and never did is not loaded, whatever keeps it from that, so
// that the reason does not depend on whether the request names a device.
func unansweredCause(r *Runner) decision.Cause {
	if r.syncer != nil && !r.state.Loaded() {
		return decision.CauseNotLoaded
	}
	if c := r.state.Failing(); c != decision.CauseNone {
		return c
	}
	return decision.CauseNotLoaded
}

// reports turns the resolution into what [decision.Merge] takes. If it is
// undecided which record the ids name, no record is used at all: every fact is
// unknown by our fault.
func (s *resolution) reports(d *Directory, id *decision.Identity) []decision.Report {
	out := make([]decision.Report, len(d.runners))
	for i, r := range d.runners {
		m := &s.matches[i]
		out[i] = decision.Report{State: r.state, Verdict: m.Verdict, Gone: !m.GoneSince.IsZero(), Cause: s.causes[i]}
		if s.undecided {
			out[i].Verdict = nil
			if !out[i].Cause.Ours() {
				out[i].Cause = decision.CauseNotLoaded
			}
		}
		if id.User.Known() {
			out[i].User = r.user(id.User.ObjectID, id.User.Name)
		}
	}
	return out
}

// jitterKey spreads expiry: by the device, else by the user.
func (s *resolution) jitterKey(id *decision.Identity) decision.Key {
	if len(s.asked) > 0 {
		return s.asked[0]
	}
	return decision.Key{Value: id.User.ID}
}

func hasKey(keys []decision.Key, k decision.Key) bool {
	for _, h := range keys {
		if h == k {
			return true
		}
	}
	return false
}

func shareKey(a, b []decision.Key) bool {
	for _, k := range b {
		if hasKey(a, k) {
			return true
		}
	}
	return false
}
