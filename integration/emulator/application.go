package emulator

import (
	"strings"
	"time"
)

// secretLife is how long client secrets last unless [Server.SetSecretEnd] says
// otherwise.
const secretLife = 180 * 24 * time.Hour

// SetSecretEnd says when the client secret ends, as the application's registration
// tells it. The token endpoint goes on to take it: see ExpiredSecret.
func (s *Server) SetSecretEnd(end time.Time) {
	s.login.mu.Lock()
	defer s.login.mu.Unlock()
	s.login.secretEnd = end
}

// application answers the registration of the gateway's own application. Of a client
// secret it tells the first three characters.
func (c *call) application() {
	id, ok := strings.CutPrefix(c.params[0], "appId=")
	if !ok || !strings.EqualFold(id, c.s.o.ClientID) {
		c.missing()
		return
	}
	l := &c.s.login
	l.mu.Lock()
	secret, end := l.secret, l.secretEnd
	l.mu.Unlock()
	if end.IsZero() {
		end = c.now.Add(secretLife)
	}
	secrets := []map[string]any{{
		"keyId": MustGUID("d1e2f3a4-0000-4000-8000-000000000011"), "hint": "zz~", "secretText": nil, "displayName": "an older one",
		"startDateTime": c.now.Add(-2 * secretLife).UTC().Format(time.RFC3339), "endDateTime": c.now.Add(-secretLife).UTC().Format(time.RFC3339),
	}, {
		"keyId": MustGUID("d1e2f3a4-0000-4000-8000-000000000012"), "hint": secret[:min(3, len(secret))], "secretText": nil, "displayName": "gatehouse",
		"startDateTime": end.Add(-secretLife - 24*time.Hour).UTC().Format(time.RFC3339), "endDateTime": end.UTC().Format(time.RFC3339),
	}}
	c.json(map[string]any{
		"@odata.context": c.base + c.route.metadata(c.beta) + "applications(passwordCredentials)/$entity", "passwordCredentials": secrets,
	})
}

// site answers SMS_Site: one site of a current version.
func (c *call) site() {
	c.collect("SMS_Site", func(b []byte) []byte {
		return append(b, `{"@odata.etag":"FC1","__LAZYPROPERTIES":[],"SiteCode":"P01","Version":"5.00.9135.1000"}`...)
	})
}
