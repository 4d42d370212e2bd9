package decision

// freshness of the evidence with the given number, counted from 1.
func (c *run) freshness(from uint8) Freshness {
	s := c.q.Posture
	return s.freshness(&s.Evidence[from-1], c.now, c.p.Ages)
}

// consult is freshness for evidence that the decision rests on.
func (c *run) consult(from uint8) Freshness {
	if from != c.lastFrom {
		c.lastFrom, c.lastFresh = from, c.freshness(from)
		c.d.Freshness = max(c.d.Freshness, c.lastFresh)
	}
	return c.lastFresh
}

// expired answers that a good fact is too old to count.
func (c *run) expired(from uint8) Tri {
	ev := &c.q.Posture.Evidence[from-1]
	cause := expiredCause(ev)
	c.why = answer{reason: cause.reason(), source: ev.State.Name, cause: cause}
	return Unknown
}

// cause says why fact f (or, with NumFacts, the device itself) is unknown. A
// cause of ours wins over one of theirs: we cannot say that nobody knows before
// everybody answered.
func (c *run) cause(f Fact) Cause {
	s := c.q.Posture
	aboutUser := userFacts.Has(f)
	ours, found := CauseNone, s.Known()
	if aboutUser {
		found = s.User.ObjectID != "" || s.User.UPN != ""
	}
	for i := range s.Evidence {
		ev := &s.Evidence[i]
		if f < NumFacts && !ev.State.mayReport(f) || f == NumFacts && !ev.State.Authoritative {
			continue
		}
		absent := !ev.Found
		if aboutUser {
			absent = !found
		}
		switch fresh := c.freshness(uint8(i + 1)); {
		case ev.Cause.Ours():
			ours = ev.Cause
		case !ev.State.Loaded():
			ours = CauseNotLoaded
		case fresh == Expired, fresh == Stale && absent:
			ours = expiredCause(ev) // also: a failing source may have missed what is new
		}
	}
	switch {
	case ours != CauseNone:
		return ours
	case found || aboutUser:
		return CauseNotReported
	case f != NumFacts && c.cause(NumFacts).Ours():
		return CauseNotReported // nobody may be called unknown yet
	}
	return CauseNoSuchDevice
}

// mayReport reports whether the source could supply f. One that was never read
// and does not say what it supplies may supply anything.
func (s *SourceState) mayReport(f Fact) bool {
	supplies := s.Supplies()
	return supplies.Has(f) || supplies == 0 && !s.Loaded()
}

func expiredCause(ev *Evidence) Cause {
	if c := ev.State.Failing(); c != CauseNone {
		return c
	}
	return CauseExpired
}

// unknownParam names what is missing, if a source that has the device does not
// report it.
func unknownParam(c Cause, f Fact, detail string) string {
	if c != CauseNotReported {
		return ""
	}
	if detail != "" {
		return detail
	}
	return f.String()
}
