package main

// equivalents are the mutants that change nothing that can be observed, by
// their key, each with the reason.
var equivalents = map[string]string{
	"value: return Yes instead of Unknown (4)":                         "unreachable: value is only asked about kinds that consult one fact, and each has a case",
	"fact: without is == No in is == No && c.goneStale(Facts(f)) != 0": "only a no ever rests on an absence; asking first saves the look at every yes",
}
