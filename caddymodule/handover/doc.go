// Package handover is a Caddy listener wrapper that loses no new connection when
// a configuration is replaced.
//
// Without it a reload loses some. Caddy opens a second socket at the same address
// for the new configuration and then shuts the old server down. The kernel resets
// what still waits at the old socket, and net/http closes a connection without an
// answer if it reads the first request after Shutdown was called. With the wrapper
// the old configuration first stops taking connections, sends those that still
// come to it over to the new one, and gives those it has taken a moment to send
// their request. Only then does Caddy shut it down.
//
// The package depends on Caddy and on nothing else of Gatehouse. Start reading at
// [Handover].
package handover
