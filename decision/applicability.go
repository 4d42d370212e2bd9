package decision

import "slices"

// notApplicable lists the platforms on which a requirement has no meaning: no
// source ever reports the fact there, so an unknown passes. A fact that a source
// does report counts on every platform. README.md beside this file prints this table.
var notApplicable = map[Kind][]Platform{
	RequireNotJailbroken: {Windows, MacOS, Linux, ChromeOS},
	RequireEncrypted:     {ChromeOS},
}

// Applicable reports whether a requirement has a meaning on a platform.
func Applicable(k Kind, p Platform) bool {
	return !slices.Contains(notApplicable[k], p)
}

// excused lets an unknown pass on a platform that never reports the fact. The
// platform itself must come from a source whose word still counts; a reason of
// ours (an outage) is never excused.
func (c *run) excused(r *Requirement) bool {
	s := c.q.Posture
	from := s.from[FactOS]
	return from != 0 && c.why.cause == CauseNotReported && !Applicable(r.Kind, s.Platform) && c.freshness(from) != Expired
}
