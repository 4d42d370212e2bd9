package decision

// hardStops records what ends every request of this user or device, whatever
// the policy asks for, and returns the worst effect.
func (c *run) hardStops() Effect {
	s := c.q.Posture
	worst := EffectNone
	if s.Revoked != nil {
		worst = c.stop(0, Revoked, s.Revoked.Subject, "")
	}
	if c.userKnown {
		if s.User.Enabled == No {
			worst = max(worst, c.stop(StopUserDisabled, UserDisabled, "", s.Source(FactUserEnabled)))
		}
		if s.User.Compromised == Yes || s.User.Risk == LevelCompromised {
			worst = max(worst, c.stop(StopUserCompromised, UserCompromised, "", s.Source(FactUserRisk)))
		}
	}
	if !c.deviceKnown {
		return worst
	}
	if s.Ambiguous {
		worst = max(worst, c.stop(0, DeviceAmbiguous, "", ""))
	}
	if s.Enabled == No {
		worst = max(worst, c.stop(StopDisabled, DeviceDisabled, "", s.Source(FactEnabled)))
	}
	if stops(s.Lifecycle) {
		worst = max(worst, c.stop(StopRetired, DeviceRetired, s.Lifecycle.String(), s.Source(FactLifecycle)))
	}
	if s.Jailbroken == Yes {
		worst = max(worst, c.stop(StopJailbroken, Jailbroken, "", s.Source(FactJailbroken)))
	}
	if s.Risk == LevelCompromised {
		worst = max(worst, c.stop(StopCompromised, DeviceCompromised, "", s.Source(FactRisk)))
	}
	return worst
}

// stop records a hard stop, unless the policy switched it off.
func (c *run) stop(off HardStops, r Reason, param, source string) Effect {
	if c.p.HardStopsOff&off != 0 {
		return EffectNone
	}
	c.d.add(Finding{Reason: r, Effect: EffectBlock, Param: param, Source: source})
	return EffectBlock
}

// unsure are the facts whose hard stop nobody can rule out once a source told them in
// a word that cannot be read, in the order in which the stops are told. line is a
// requirement about the same fact, whose excuses count. Risk is not among them: of
// its levels only the last one stops, and a policy that cares for the others asks.
var unsure = [...]struct {
	fact   Fact
	off    HardStops
	reason Reason
	line   Requirement
}{
	{FactUserEnabled, StopUserDisabled, UserDisabled, Requirement{}},
	{FactEnabled, StopDisabled, DeviceDisabled, Requirement{}},
	{FactLifecycle, StopRetired, DeviceRetired, Requirement{}},
	{FactJailbroken, StopJailbroken, Jailbroken, Requirement{Kind: RequireNotJailbroken}},
}

var unsureFacts = func() (set FactSet) {
	for i := range unsure {
		set |= Facts(unsure[i].fact)
	}
	return set
}()

// unreadableStops finds the hard stops that nobody can rule out. A policy need not ask
// for their facts, so they are unknown for every policy, and on_unknown says what that
// means. A fact that no source tells stops nobody.
func (c *run) unreadableStops() Effect {
	barred := c.q.Posture.barred & unsureFacts
	if barred == 0 {
		return EffectNone
	}
	worst := EffectNone
	for i := range unsure {
		s := &unsure[i]
		subject := c.deviceKnown
		if userFacts.Has(s.fact) {
			subject = c.userKnown
		}
		if !subject || !barred.Has(s.fact) || c.p.HardStopsOff&s.off != 0 || c.d.Has(s.reason) {
			continue
		}
		c.why = answer{reason: FactUnknown, param: s.fact.String(), cause: CauseNotReported}
		if c.excused(&s.line) || c.attested(&s.line) {
			c.why = answer{}
			continue
		}
		worst = max(worst, c.conclude(&s.line, Unknown, Finding{}, nil))
	}
	return worst
}
