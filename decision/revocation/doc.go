// Package revocation knows what is revoked now: devices, users, certificates
// and sessions, each with a reason, an owner and perhaps an end.
//
// A [List] answers from memory, without a lock, and keeps every entry in a
// journal on disk. An entry is in force before it is durable, and durable
// before [List.Add] returns nil; a release is durable before it takes effect.
// Whatever goes wrong therefore leaves more revoked, never less.
//
// The journal is a text file of JSON lines, each with a checksum. The last
// line may be cut short by a kill or a power loss, which is repaired. Damage
// anywhere else stops [Open]: to go on would be to forget a revocation.
//
// The package imports decision and the standard library, and must never import
// another package of this module. Start reading at list.go; match.go is the
// reading side, journal.go the file, replay.go how it is read back.
package revocation
