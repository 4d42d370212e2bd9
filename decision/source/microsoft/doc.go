// Package microsoft connects to a Microsoft tenant. It is the face of the client
// that the sources intune, entra, defender and nac share, so that one tenant has
// one token cache, one set of budgets and one set of circuit breakers however
// many sources use it.
//
// The package imports decision/source/internal/msgraph and nothing else of ours.
// It must never import an information point.
//
// Start reading at tenant.go.
package microsoft
