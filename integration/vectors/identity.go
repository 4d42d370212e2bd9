package vectors

import (
	"maps"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// CorpIssuer is the URL of issuer corp in tokens and user ids.
const CorpIssuer = "https://idp.corp.example"

// identity is what the gateway makes of the vector's credentials.
func (v *Vector) identity(now time.Time) (*decision.Identity, error) {
	id := &decision.Identity{}
	if v.Device != nil {
		proof, _ := decision.ParseProof(v.Device.Proof)
		id.Device = decision.DeviceRef{Keys: []decision.Key{{Kind: decision.KindEntra, Value: v.DeviceID()}}, Proof: proof}
		if v.Device.Serial != "" {
			id.Device.Keys = append(id.Device.Keys, decision.Key{Kind: decision.KindSerial, Value: v.Device.Serial})
		}
	}
	if v.User == nil {
		return id, nil
	}
	u := v.User
	id.User = decision.User{
		Issuer: u.Issuer, Subject: v.subject(), ObjectID: v.ObjectID(), Name: u.Name, Client: u.Client, AppOnly: u.AppOnly,
		ACR: u.ACR, ACRs: u.ACRs, AMR: u.AMR, ClaimsChallenge: u.CP1,
	}
	switch u.Issuer {
	case "entra":
		id.User.Tenant = TenantID
		id.User.ID = TenantID + "/" + id.User.ObjectID
	case "corp":
		id.User.ID = CorpIssuer + "|" + v.subject()
	default:
		id.User.ID = "certificate|" + u.Name
		return id, nil
	}
	switch {
	case u.GroupsOverage:
		id.User.GroupsKnown = decision.No
	case u.Groups != nil:
		id.User.Groups, id.User.GroupsKnown = *u.Groups, decision.Yes
	}
	if u.SignedIn != "" {
		t, err := relative(u.SignedIn, now)
		if err != nil {
			return nil, err
		}
		id.User.AuthTime = t.Unix()
	}
	id.User.Claims = v.Claims(now)
	return id, nil
}

// subject of the token.
func (v *Vector) subject() string {
	if v.User.AppOnly {
		return v.User.Client
	}
	return guid("subject", v.Name)
}

// Claims are the claims of the vector's token, without iss, aud, iat, nbf, exp
// and the cnf of a bound token, which whoever mints it adds. It is nil if the
// request carries no token. Dates are unix seconds, as int64.
func (v *Vector) Claims(now time.Time) map[string]any {
	u := v.User
	if u == nil || u.Issuer == decision.IssuerCertificate {
		return nil
	}
	c := map[string]any{"sub": v.subject()}
	set := func(name, value string) {
		if value != "" {
			c[name] = value
		}
	}
	list := func(name string, values []string) {
		if len(values) > 0 {
			all := make([]any, len(values))
			for i, s := range values {
				all[i] = s
			}
			c[name] = all
		}
	}
	set("preferred_username", u.Name)
	set("azp", u.Client)
	set("acr", u.ACR)
	list("amr", u.AMR)
	if u.Issuer == "entra" {
		c["tid"], c["oid"] = TenantID, v.ObjectID()
		list("acrs", u.ACRs)
		if u.CP1 {
			c["xms_cc"] = []any{"cp1"}
		}
		if u.AppOnly {
			c["idtyp"] = "app"
		} else {
			c["scp"] = "access"
		}
	}
	if u.Groups != nil {
		c["groups"] = []any{}
		list("groups", *u.Groups)
	}
	if u.GroupsOverage {
		c["_claim_names"] = map[string]any{"groups": "src1"}
	}
	if u.SignedIn != "" {
		if t, err := relative(u.SignedIn, now); err == nil {
			c["auth_time"] = t.Unix()
		}
	}
	if d := v.Device; d != nil && (d.Proof == "token" || d.Proof == "bound_token") {
		c["deviceid"] = v.DeviceID()
		set("serial", d.Serial)
	}
	maps.Copy(c, u.Claims)
	return c
}
