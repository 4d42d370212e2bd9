package emulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// directoryDevice answers one device by object id, or by the alternate key deviceId.
func (c *call) directoryDevice() {
	var rows []row
	if key, ok := strings.CutPrefix(c.params[0], "deviceId="); ok {
		rows = byEntraID(numDirectory)(c.s.fleet, key)
	} else {
		rows = byObjectID(c.s.fleet, c.params[0])
	}
	if len(rows) == 0 {
		c.missing()
		return
	}
	c.single(deviceFields, rows[0])
}

// missing answers as the directory does for an object that it does not have.
func (c *call) missing() {
	c.fail(http.StatusNotFound, "Request_ResourceNotFound", "Resource '"+c.params[0]+"' does not exist or one of its queried reference-property objects are not present.")
}

func (c *call) directoryUser() {
	if u := c.s.fleet.User(c.params[0]); u != nil {
		c.single(userFields, row{u: u})
		return
	}
	c.missing()
}

// riskyUser answers 404 for a user who never had a risk.
func (c *call) riskyUser() {
	if u := c.s.fleet.User(c.params[0]); u != nil && u.Risk != nil {
		c.single(riskFields, row{u: u})
		return
	}
	c.fail(http.StatusNotFound, "ResourceNotFound", "Risky user "+c.params[0]+" was not found")
}

// maxGroupIDs is how many groups checkMemberGroups takes.
const maxGroupIDs = 20

// checkGroups answers the subset of the given groups that the user is in.
func (c *call) checkGroups() {
	u := c.s.fleet.User(c.params[0])
	if u == nil {
		c.missing()
		return
	}
	var in struct{ GroupIDs []GUID }
	err := json.Unmarshal(c.input, &in)
	if err != nil || len(in.GroupIDs) == 0 || len(in.GroupIDs) > maxGroupIDs {
		c.refuse(http.StatusBadRequest, "Request_BadRequest", "groupIds must have 1 to 20 identifiers")
		return
	}
	c.groups(slices.DeleteFunc(in.GroupIDs, func(g GUID) bool { return !slices.Contains(u.Groups, g) }))
}

// memberGroups answers all groups.
func (c *call) memberGroups() {
	u := c.s.fleet.User(c.params[0])
	if u == nil {
		c.missing()
		return
	}
	var in struct{ SecurityEnabledOnly *bool }
	if json.Unmarshal(c.input, &in) != nil || in.SecurityEnabledOnly == nil {
		c.refuse(http.StatusBadRequest, "Request_BadRequest", "securityEnabledOnly is missing")
		return
	}
	c.groups(u.Groups)
}

// groups writes identifiers as a collection of texts.
func (c *call) groups(ids []GUID) {
	c.collect("Collection(Edm.String)", func(b []byte) []byte {
		for i, g := range ids {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(g.append(append(b, '"')), '"')
		}
		return b
	})
}

// intuneApp is the application id of Intune.
const intuneApp = "0000000a-0000-0000-c000-000000000000"

// endpoints answers Intune's service discovery.
func (c *call) endpoints() {
	if !strings.EqualFold(c.params[0], intuneApp) {
		c.missing()
		return
	}
	c.collect("servicePrincipals('appId="+intuneApp+"')/endpoints", func(b []byte) []byte {
		entry := func(name, key, uri string) {
			b = append(b, `{"id":"`+c.s.login.uuid().String()+`","capability":"`+key+`","providerName":`...)
			if key == "legacy" { // older entries have serviceName alone
				b = append(b, `null,"serviceName":`...)
			}
			b = appendString(b, name)
			b = appendString(append(b, `,"uri":`...), uri)
			b = append(b, '}')
		}
		entry("complianceRetrievalService", "ComplianceRetrieval", c.base+"/nac")
		b = append(b, ',')
		entry("NACAPIService", "legacy", c.base+"/nac/v2")
		b = append(b, ',')
		entry("ScepRequestValidationFEService", "ScepRequestValidation", c.base+"/nac/scep")
		return b
	})
}
