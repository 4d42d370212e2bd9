// Package sourcetest is the conformance suite of [source.Source]: every source,
// also one kept outside this repository, passes it. It imports decision,
// decision/source and testing, and no concrete source.
//
// Start reading at Run; [Factory] is what a source's test provides.
package sourcetest
