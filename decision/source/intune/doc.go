// Package intune asks Microsoft Intune about managed devices: compliance with its
// grace period and reasons, who manages a device, encryption, jailbreak, and the
// threat level that a mobile threat defense partner pushed into Intune.
//
// Intune has neither a change feed nor notifications for devices. So the source
// lists everything once in a while ([Options].FullSweep) and asks in between for
// what could have changed: devices that checked in, devices that are being wiped
// or retired, and noncompliant ones. A device that leaves the last two lists is asked
// for by itself. Where more than 5,000 devices are noncompliant, the first poll reads
// so many of them and the next ones none until the next complete listing: only a
// check-in, a look-up or that listing brings the compliance of the others. The list of
// stops is always read to its end.
//
// The package imports decision, decision/source and the client that all sources
// of a Microsoft tenant share. It must never import another information point, a
// policy, or anything that serves HTTP.
//
// Start reading at intune.go, then record.go (what a record means), sync.go,
// recover.go and lookup.go.
package intune
