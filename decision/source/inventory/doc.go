// Package inventory is the information point for one local file: the device
// list that the Intune admin centre exports, a CSV with plain column names, or
// a JSON document.
//
// A file is read as a whole or not at all. A row that cannot be read is named,
// counted and skipped; a file that is cut off, empty, too large, of an unknown
// shape or changing under the reader is refused, and the caller keeps the last
// good one. Every value that is not understood is unknown, never compliant. If it
// makes no bad row, such as a misspelt word, it is counted by field ([Source.Stats]).
//
// The package imports decision, decision/source and a file watcher. It must
// never import another information point, a policy, or anything that serves or
// calls HTTP.
//
// Start reading at inventory.go; format.go tells the three formats apart, and
// intune.go, csv.go and json.go read one each. pipeline.go spreads the work over
// two cores. fields.go lists the normalised
// names that the plain CSV and the JSON format share; skipped.go counts what they
// could not use.
package inventory
