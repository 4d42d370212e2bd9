// Package caddymodule is the policy enforcement point: a Caddy app and an HTTP
// handler that let a request reach an upstream only if the decision package
// says so.
//
//   - app.go: the app `compliance`, its life cycle and what outlives a reload;
//   - handler.go: strip, identify, look up, decide, enforce;
//   - caddyfile_*.go: the Caddyfile syntax, with file and line in every error;
//   - respond.go: the one place where a decision becomes an HTTP response.
//
// It is the only package besides cmd that imports Caddy. Import it for its
// side effects to add the module to a Caddy build of your own:
//
//	import _ "github.com/gatehouse-project/gatehouse/caddymodule"
package caddymodule
