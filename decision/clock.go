package decision

import "time"

// epoch is the zero of the monotonic scale. Ages are differences, so its
// value never matters.
var epoch = time.Now()

// Mono places t on a monotonic scale, in nanoseconds. Ages are computed on this
// scale so that a step of the wall clock neither renews nor expires a verdict.
// A t without a monotonic reading (a file's date) is placed by wall time.
func Mono(t time.Time) int64 { return int64(t.Sub(epoch)) }
