// Package decision is the vocabulary of Gatehouse and its policy decision
// point (NIST SP 800-207). It answers one question: may this user, from this
// device, make this request now, and if not, why not.
//
// Four nouns go in and one comes out:
//
//   - [Identity]: the user and the device of one request, each with its proof;
//   - [Verdict]: what one source says about one device, with its ages;
//   - [Posture]: the verdicts of all sources about one device, merged;
//   - [Policy]: an ordered list of requirements;
//   - [Decision]: the outcome of one policy for one request, with every reason.
//
// Every fact is three-valued ([Tri]): yes, no or unknown, and unknown has a
// cause. Unknown is never read as yes.
//
// The package imports the standard library only, does no input or output and
// has no clock of its own: the caller passes the time. Everything it decides
// on is immutable or atomic, so an [Engine] may be used by any number of
// goroutines.
//
// Start reading at engine.go; reason.go lists everything that can be wrong.
package decision
