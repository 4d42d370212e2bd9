package caddymodule

import (
	"fmt"
	"math/bits"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The identity headers, as indexes of identityEntry.headerVals.
const (
	hUser = iota
	hUserID
	hEmail
	hGroups
	hDevice
	numIdentityHeaders // the rest is computed per request
	hCompliance        = iota - 1
	hDecision
	numHeaders
)

var headerNames = [numHeaders]string{
	hUser: headerUser, hUserID: headerUserID, hEmail: headerEmail, hGroups: headerGroups,
	hDevice: headerDevice, hCompliance: headerCompliance, hDecision: headerDecision,
}

// headerSet is which headers a rule sends to the app, one bit each.
type headerSet uint8

const defaultHeaders headerSet = 1<<hUser | 1<<hDevice

func (s headerSet) has(i int) bool { return s&(1<<i) != 0 }

func parseHeaderSet(names []string) (headerSet, error) {
	if len(names) == 0 {
		return defaultHeaders, nil
	}
	if slices.Equal(names, []string{"none"}) {
		return 0, nil
	}
	var s headerSet
	for _, n := range names {
		i := slices.Index(headerNames[:], textproto.CanonicalMIMEHeaderKey(n))
		if i < 0 {
			return 0, fmt.Errorf("identity_headers: %q is not one of %s, none", n, strings.Join(headerNames[:], ", "))
		}
		s |= 1 << i
	}
	return s, nil
}

// headerValues computes what the app is told about an identity. A value that
// cannot be sent safely is left out: no control characters ever.
func headerValues(id *decision.Identity) (v [numHeaders]string) {
	u := &id.User
	if u.Known() {
		v[hUser] = cleanValue(u.Name)
		if v[hUser] == "" {
			v[hUser] = cleanValue(u.Subject)
		}
		if v[hUser] == "" {
			v[hUser] = cleanValue(u.ID)
		}
		v[hUserID] = cleanValue(u.ID)
		v[hEmail] = cleanValue(u.Email)
		v[hGroups] = joinGroups(u.Groups)
	}
	if len(id.Device.Keys) > 0 {
		v[hDevice] = cleanValue(id.Device.Keys[0].Value)
	}
	return v
}

// compliance is what the app may be told: nothing good from facts that are too old
// for the policy.
func (x *exchange) compliance() decision.Compliance {
	return x.req.Posture.ComplianceAt(x.start, x.ages)
}

// cleanValue refuses what would not arrive as it is: servers trim outer spaces, and
// "admin " must not become "admin".
func cleanValue(s string) string {
	if len(s) > 1024 || strings.Trim(s, " ") != s || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd }) {
		return ""
	}
	return s
}

// joinGroups writes a comma-separated list in which each value is percent-encoded
// for ',', '%', control characters and outer spaces, so that no group can pose as
// two, or as another one.
func joinGroups(groups []string) string {
	var b strings.Builder
	for i, g := range groups {
		if i > 0 {
			b.WriteByte(',')
		}
		for j := range len(g) {
			if c := g[j]; c < 0x20 || c == 0x7f || c == ',' || c == '%' || c == ' ' && (j == 0 || j == len(g)-1) {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

// setHeaders writes the chosen headers. strip ran before, so absent values stay
// absent. One allocation for all of them.
func setHeaders(h http.Header, set headerSet, x *exchange) {
	if set == 0 {
		return
	}
	vals := make([]string, 0, bits.OnesCount8(uint8(set)))
	put := func(i int, v string) {
		if v != "" {
			vals = append(vals, v)
			h[headerNames[i]] = vals[len(vals)-1 : len(vals) : len(vals)]
		}
	}
	for i := range numIdentityHeaders {
		if set.has(i) {
			put(i, x.creds.entry.headerVals[i])
		}
	}
	if set.has(hCompliance) {
		put(hCompliance, x.compliance().String())
	}
	if set.has(hDecision) {
		put(hDecision, x.id)
	}
}
