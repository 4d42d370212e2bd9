// Package source keeps what policy information points say about devices and
// users, so that a decision never waits for one of them.
//
//   - [Source], with [Syncer], [Looker] and [Watcher], is what a point implements;
//   - [Sweep] is what one complete listing emits;
//   - [Table] holds a million devices in few, pointer-free allocations;
//   - [Guards] refuse or hold a listing that looks like somebody's accident;
//   - [Runner] keeps one source fresh in the background;
//   - [Directory] merges all runners into the posture of one request.
//
// The package imports decision, cache and small libraries. It must never import
// a concrete source, a policy, or anything that serves HTTP.
//
// Start reading at source.go, then runner.go and directory.go.
package source
