package identity

import (
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// user reads who the token names. Identity rests on oid and tid, or on iss and
// sub; names and addresses can change hands and are for display and for rules
// that an operator wrote about them.
func (is *issuer) user(r *claimReader, iss string) decision.User {
	u := decision.User{
		Issuer:  is.name,
		Subject: r.text("sub"),
		ACR:     r.text("acr"),
		ACRs:    r.texts("acrs", claimMaxList),
		AMR:     r.texts("amr", claimMaxList),
		Claims:  r.m,
	}
	u.AuthTime = r.seconds("auth_time")
	for _, capability := range r.texts("xms_cc", claimMaxList) {
		if is.entra && strings.EqualFold(capability, "cp1") {
			u.ClaimsChallenge = true
		}
	}
	if u.Subject == "" {
		r.fail("sub")
	}
	if is.entra {
		u.Tenant = is.tenant
		oid, ok := decision.CanonicalKey(decision.KindEntra, r.text("oid"))
		if !ok {
			r.fail("oid")
		}
		u.ObjectID = oid.Value
		u.ID = u.Tenant + "/" + u.ObjectID
		u.Client = r.first("azp", "appid")
		u.AppOnly = claimEntraApp(r)
	} else {
		u.ID = iss + "|" + u.Subject
		u.Client = r.first("client_id", "azp", "cid")
		u.AppOnly = claimApp(r, &u)
	}
	name := r.first(is.nameClaims...)
	if strings.TrimSpace(name) != name {
		r.fail("name")
	}
	if !u.AppOnly {
		u.Name = name
		u.Email = claimEmail(r)
	}
	is.groups(r, &u)
	return u
}

// claimEntraApp reports whether an Entra token was issued to an app on its own
// behalf: idtyp says so, or there are no delegated scopes. A token for a user
// always has scp; one for an app has roles or nothing.
func claimEntraApp(r *claimReader) bool {
	switch r.text("idtyp") {
	case "app":
		return true
	case "user":
		return false
	}
	return r.text("scp") == ""
}

// claimApp reports whether a token came from a client credentials grant. RFC
// 9068 section 2.2 makes sub the client then; Auth0 and Keycloak differ.
func claimApp(r *claimReader, u *decision.User) bool {
	if r.m["gty"] == "client-credentials" {
		return true
	}
	if u.Client == "" {
		return false
	}
	return u.Subject == u.Client || u.Subject == u.Client+"@clients" ||
		strings.EqualFold(r.text("preferred_username"), "service-account-"+u.Client)
}

// claimEmail returns an address to show. One that could be read in two ways, or
// that the issuer itself says is not verified, is left out.
func claimEmail(r *claimReader) string {
	s, ok := r.m["email"].(string)
	if !ok || !claimPrintable(s) || len(s) > 254 || strings.Count(s, "@") != 1 || strings.ContainsAny(s, " ,;<>\"") ||
		s[0] == '@' || s[len(s)-1] == '@' {
		return ""
	}
	switch v := r.m["email_verified"].(type) {
	case bool:
		if !v {
			return ""
		}
	case string:
		if v != "true" {
			return ""
		}
	}
	return s
}

// groups reads the user's groups. Entra leaves them out of a token with more
// than 200 and says so in _claim_names or hasgroups; the address that it names
// there belongs to a retired service and is never called.
func (is *issuer) groups(r *claimReader, u *decision.User) {
	sources, _ := r.m["_claim_names"].(map[string]any)
	_, elsewhere := sources[is.groupsClaim]
	if is.groupsClaim == "groups" {
		switch v := r.m["hasgroups"]; v {
		case true, "true":
			elsewhere = true
		}
	}
	list, _ := r.m[is.groupsClaim].([]any)
	switch {
	case elsewhere, len(list) > claimMaxGroups:
		u.GroupsKnown = decision.No
	case r.has(is.groupsClaim):
		u.Groups = r.texts(is.groupsClaim, claimMaxGroups)
		u.GroupsKnown = decision.Yes
	}
}
