// Package policy turns policies as an operator writes them into the compiled
// [decision.Policy] values that the engine evaluates, and explains a decision
// afterwards.
//
// A configuration block reaches this package as [Line] values: the words of
// one line and where it stands. Caddyfile and JSON configuration share this one
// grammar. Three steps follow:
//
//   - [CheckLine] and [CheckPolicy] check syntax, without knowing the rest of
//     the configuration, so that a parser can refuse a line where it reads it;
//   - [Compile] checks everything against the [Environment] (what sources,
//     issuers and credentials can supply), resolves extends, and builds a [Set];
//   - [Explain] gives a full account of one policy for one request.
//
// Conditions in CEL (Common Expression Language) are type-checked against the
// variables user, device, claims, request and now. A fact that is not known is
// a CEL unknown: it makes the result unknown unless the other operands settle
// it, and unknown is never yes.
//
// The package must never import Caddy, do input or output, or read a clock.
// Everything it returns is immutable and safe for concurrent use.
//
// Start reading at line.go (the lines of a policy), then requirement.go (the
// require lines), compile.go (the whole), fields.go (what CEL sees).
package policy
