// Package caddymodule is the policy enforcement point: a Caddy app and an HTTP
// handler that let a request reach an upstream only if the decision package
// says so. Start reading at handler.go: strip, identify, look up, decide, enforce.
//
//   - app.go, config.go: the app `compliance`, its life cycle and JSON form;
//     shared.go: what outlives a reload; keys.go, snapshot.go: the root secret and
//     the files sealed with it; resolve.go: placeholders in the configuration;
//   - handler.go, rule.go: the handler and the lines of one site;
//   - hygiene.go, strictpath.go, method.go, request.go: what a request may look like;
//   - identify.go, credentials.go: tokens and certificates to an identity;
//   - respond.go, challenge.go, own.go: the answers; upstream.go and assertion.go:
//     what the app is told; placeholders.go: what Caddy is told;
//   - decisionlog.go, metrics*.go, admin*.go: what operators see;
//   - caddyfile_*.go: the Caddyfile syntax, with file and line in every error;
//   - command*.go, lint*.go, explain.go: the commands;
//   - source.go: what a guest module of compliance.sources provides;
//     source_inventory.go: the guest module around the inventory.
//
// Besides cmd and the tests it is the only package that imports Caddy. Import it
// for its side effects to add the module to a Caddy build of your own:
//
//	import _ "github.com/gatehouse-project/gatehouse/caddymodule"
package caddymodule
