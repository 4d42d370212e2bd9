// Package msgraph is the one HTTP client for what Microsoft serves about devices
// and users: Microsoft Graph, Defender for Endpoint, and the Intune compliance
// retrieval service that network access control products ask.
//
//   - [Client.Do] makes one call, [Client.Pages] follows a list, [Client.Batch]
//     packs several calls into one;
//   - every failure is an [*Error] with a [Kind], so that a source can tell "no
//     such device" from "we may not ask" and from "nobody answered";
//   - budgets, waiting, retries, tokens and circuit breakers are the client's
//     business, and no caller's.
//
// The package imports decision/source for [source.ThrottledError] only. It must
// never import an information point, a policy, or anything that serves HTTP, and
// it never interprets a row.
//
// Start reading at client.go, then attempt.go; token.go and tokens.go get and
// keep access tokens, budget.go paces the calls.
package msgraph
