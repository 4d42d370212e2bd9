package decision

// notApplicable lists the platforms on which a requirement has no meaning: no
// source ever reports the fact there, so an unknown passes. A fact that a source
// does report counts on every platform. README prints this table.
var notApplicable = map[Kind][]Platform{
	RequireNotJailbroken: {Windows, MacOS, Linux, ChromeOS},
	RequireEncrypted:     {ChromeOS},
}

// Applicable reports whether a requirement has a meaning on a platform.
func Applicable(k Kind, p Platform) bool {
	for _, n := range notApplicable[k] {
		if n == p {
			return false
		}
	}
	return true
}

// applicable lets an unknown pass on a platform that never reports the fact.
// The platform itself must come from a source that has the device; a reason of
// ours (an outage) is never excused.
func (e *Engine) applicable(r *Requirement, q *Request, a answer) answer {
	if a.is == Unknown && a.cause == CauseNotReported && q.Posture.Platform != PlatformUnknown &&
		!Applicable(r.Kind, q.Posture.Platform) {
		return yes()
	}
	return a
}
