// Package cache is a bounded in-memory store with ages and negative entries,
// and an authenticated file to carry its contents over a restart. It knows
// nothing of devices, tokens or decisions.
//
// A [Cache] is a set of shards, each a golang-lru list behind its own lock.
// The key chooses the shard by a seeded hash, so a client cannot pick keys
// that crowd one shard. Expiry is kept inside the entry and checked on
// reading: there is no goroutine, no timer and nothing to close.
//
// Keys should be comparable structs with one field per dimension (tenant,
// source, kind, id). Never join strings into one key: two different subjects
// could then share an entry.
//
// [WriteSnapshot] and [ReadSnapshot] keep bytes in a file that is replaced as
// a whole, carries a MAC, and is refused when it is older than the last one.
//
// The package must not import any other package of this module. Start reading
// at cache.go; store.go is the contract that other stores share, and the
// package cachetest checks it.
package cache
