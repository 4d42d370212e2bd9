// Package cachetest is the suite that every [cache.Store] passes. A store's own
// test calls [Run] with a way to make an empty store.
//
// The package imports cache and the standard library only. Start reading at
// Run.
package cachetest
