// Package emulator is a fake Microsoft for tests and examples: Graph (Intune,
// directory, identity protection), Defender for Endpoint, the Intune Compliance
// Retrieval service that network access control uses (NAC 2.0), the AdminService of
// Configuration Manager, and the token endpoint of Entra ID. One [Server] is an
// [net/http.Handler]; path prefixes tell the hosts apart:
//
//	/login/{tenant}/...           authority: tokens, metadata, keys
//	/graph/v1.0/..., /graph/beta/...
//	/defender/api/...
//	/nac/...                      below the endpoint that service discovery answers
//	/cm/AdminService/wmi/...
//	/blob/...                     download of device exports, as from blob storage
//	/control/...                  for people: look, change devices, set faults
//
// It answers as the services do, their odd sides included: pages, opaque links,
// permissions, published throttle limits, error bodies, missing Retry-After. What
// the real service would have refused stands in [Server.Violations], so a test that
// ends with [Server.Check] proves that a client behaves. [Server.Fail] breaks a
// route on purpose.
//
// The fleet begins with named cases (cases.go); the rest is mostly healthy. The same
// seed gives the same fleet.
//
// The package imports the standard library and golang-jwt, and nothing of Gatehouse:
// it must not share a client's misunderstanding. Start reading at [New] and route.go.
package emulator
