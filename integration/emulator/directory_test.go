package emulator

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDirectoryDevices(t *testing.T) {
	c := serve(t, Options{Devices: 250}).signIn(graphScope)
	d := c.device(CaseHybridOnly)
	entra, object := d.EntraID.String(), d.Directory.ObjectID.String()
	if entra == object {
		t.Fatal("the two ids are the same")
	}
	const sel = "?$select=id,deviceId,accountEnabled,isCompliant,isManaged,trustType"
	for path, want := range map[string]int{
		"/devices/" + object + sel:                  200,
		"/devices/" + entra + sel:                   404,
		"/devices(deviceId='" + entra + "')" + sel:  200,
		"/devices(deviceId='" + object + "')" + sel: 404,
	} {
		status, doc := c.get("/graph/v1.0" + path)
		if status != want || status == 404 && code(doc) != "Request_ResourceNotFound" {
			t.Errorf("%s: %d %v, want %d", path, status, doc, want)
		}
		if status == 200 && (doc["isCompliant"] != nil || doc["trustType"] != "ServerAd" || doc["id"] != object) {
			t.Errorf("%s: %v", path, doc)
		}
	}
	seen, next := 0, "/graph/v1.0/devices"+sel
	for pages := 0; next != ""; pages++ {
		rows, doc := c.rows(next)
		if seen += len(rows); pages < 2 && len(rows) != 100 {
			t.Errorf("page %d has %d rows", pages, len(rows))
		}
		next, _ = doc["@odata.nextLink"].(string)
	}
	if seen != 249 { // one device is known to NAC alone
		t.Errorf("%d devices, want 249", seen)
	}
	tests := []struct {
		query, header string
		status, rows  int
	}{
		{"$filter=deviceId eq '" + entra + "'&$select=id", "", 200, 1},
		{"$filter=accountEnabled eq false&$select=id", "", 200, 1},
		{"$filter=isCompliant ne true&$select=id", "", 400, 0},
		{"$filter=isCompliant ne true&$select=id&$count=true&$top=999", "eventual", 200, -1},
		{"$count=true&$select=id", "", 400, 0},
		{"$top=999&$select=id", "", 200, 249},
		{"$top=1000&$select=id", "", 400, 0},
		{"$select=id,nonsense", "", 400, 0},
		{"$orderby=displayName&$select=id", "", 400, 0},
	}
	for _, tc := range tests {
		status, doc := c.get("/graph/v1.0/devices?"+tc.query, "ConsistencyLevel", tc.header)
		if status != tc.status {
			t.Errorf("%s: %d %v, want %d", tc.query, status, doc, tc.status)
		} else if status == 200 && tc.rows >= 0 && len(rowsIn(t, doc)) != tc.rows {
			t.Errorf("%s: %d rows, want %d", tc.query, len(rowsIn(t, doc)), tc.rows)
		}
	}
}

func TestDelta(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	c := serve(t, Options{Devices: 250, Clock: func() time.Time { return now }}).signIn(graphScope)
	const sel = "?$select=id,deviceId,accountEnabled,isCompliant"
	ids := map[string]bool{}
	next, rowsSeen := "/graph/v1.0/devices/delta"+sel, 0
	var delta string
	for delta == "" {
		rows, doc := c.rows(next)
		for _, r := range rows {
			ids[r["id"].(string)] = true
		}
		rowsSeen += len(rows)
		next, _ = doc["@odata.nextLink"].(string)
		delta, _ = doc["@odata.deltaLink"].(string)
		if delta == "" && rowsSeen == 100 { // a change during the full pass comes afterwards
			c.s.Update(func(f *Fleet) { f.At(0).Directory.Enabled = false })
		}
	}
	if len(ids) != 249 || rowsSeen <= len(ids) {
		t.Errorf("%d objects in %d rows; want 249, and repeated rows", len(ids), rowsSeen)
	}
	rows, doc := c.rows(delta)
	if len(rows) != 1 || rows[0]["accountEnabled"] != false || rows[0]["deviceId"] != nil {
		t.Errorf("after the full pass: %v", rows)
	}
	delta = doc["@odata.deltaLink"].(string)
	if rows, _ := c.rows(delta); len(rows) != 0 {
		t.Errorf("without a change: %v", rows)
	}
	var gone, soft, fresh *Device
	c.s.Update(func(f *Fleet) {
		gone, soft, fresh = f.At(60), f.At(61), f.AddDevice(nil)
		f.RemoveDevice(gone)
		f.RemoveDevice(soft)
		f.At(62).Managed[0].LastSync = now  // not of the directory
		f.At(63).Directory.LastSignIn = now // not selected
	})
	c.s.Update(func(f *Fleet) { fresh.Managed[0].Compliance = "noncompliant" })
	rows, doc = c.rows(delta)
	text := map[string]string{}
	for _, r := range rows {
		reason := "changed fields"
		if removed, ok := r["@removed"].(map[string]any); ok {
			reason = removed["reason"].(string)
		}
		text[r["id"].(string)] = reason
	}
	if text[gone.Directory.ObjectID.String()] != "deleted" || text[soft.Directory.ObjectID.String()] != "changed" || len(text) != 3 || len(rows) != 4 {
		t.Errorf("changes: %v in %d rows", text, len(rows))
	}
	if last := rows[len(rows)-1]; last["isCompliant"] != false || last["id"] != fresh.Directory.ObjectID.String() {
		t.Errorf("the last change is %v", last)
	}
	delta = doc["@odata.deltaLink"].(string)
	now = now.Add(7*24*time.Hour + time.Minute)
	c = c.signIn(graphScope)
	resp := c.do("GET", delta, "")
	doc = decode(t, resp)
	if resp.StatusCode != 410 || code(doc) != "resyncRequired" || !strings.HasPrefix(resp.Header.Get("Location"), c.base+"/graph/v1.0/devices/delta"+sel+"&$deltatoken=") {
		t.Errorf("old token: %d %v %v", resp.StatusCode, doc, resp.Header)
	}
	rows, doc = c.rows("/graph/v1.0/devices/delta" + sel + "&$deltatoken=latest")
	if len(rows) != 0 || doc["@odata.deltaLink"] == nil {
		t.Errorf("latest: %v", doc)
	}
	c.s.Check(t)
	for _, bad := range []string{"?$top=5&$select=id", "?$select=id&$filter=accountEnabled eq true", "?$deltatoken=nonsense"} {
		if status, _ := c.get("/graph/v1.0/devices/delta" + bad); status != 400 {
			t.Errorf("%s: %d, want 400", bad, status)
		}
	}
}

func TestUsers(t *testing.T) {
	c := serve(t, Options{Devices: 50}).signIn(graphScope)
	u := c.device(CaseUserDisabled).User
	_, doc := c.get("/graph/v1.0/users/" + u.UPN + "?$select=id,accountEnabled,userPrincipalName")
	if doc["id"] != u.OID.String() || doc["accountEnabled"] != false {
		t.Errorf("user %v", doc)
	}
	_, doc = c.rows("/graph/v1.0/users/delta?$select=id,accountEnabled")
	link := doc["@odata.deltaLink"].(string)
	c.s.Update(func(f *Fleet) { f.User(u.UPN).Enabled = true })
	if rows, _ := c.rows(link); len(rows) != 1 || rows[0]["accountEnabled"] != true {
		t.Errorf("change of a user: %v", rows)
	}
	u = c.s.Devices()[0].User // in the group of finance
	resp := c.do("POST", "/graph/v1.0/users/"+u.OID.String()+"/checkMemberGroups", `{"groupIds":["`+GroupFinance.String()+`","00000000-0000-4000-8000-000000000009"]}`)
	if v := decode(t, resp)["value"]; !slices.Equal(v.([]any), []any{GroupFinance.String()}) {
		t.Errorf("groups %v", v)
	}
	resp = c.do("POST", "/graph/v1.0/users/"+u.OID.String()+"/getMemberObjects", `{"securityEnabledOnly":true}`)
	if v := decode(t, resp)["value"].([]any); len(v) != 2 {
		t.Errorf("member of %v", v)
	}
	c.s.Check(t)
	resp = c.do("POST", "/graph/v1.0/users/"+u.OID.String()+"/checkMemberGroups", `{"groupIds":["`+strings.Repeat(GroupFinance.String()+`","`, 20)+GroupFinance.String()+`"]}`)
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("21 groups: %d", resp.StatusCode)
	}
}

func TestRiskyUsers(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	c := serve(t, Options{Devices: 50, Clock: func() time.Time { return now }}).signIn(graphScope)
	ask := func(path string) (int, map[string]any) {
		now = now.Add(time.Second)
		return c.get("/graph/v1.0/identityProtection/riskyUsers" + path)
	}
	_, doc := ask("?$filter=riskState eq 'atRisk' or riskState eq 'confirmedCompromised'&$top=500")
	if rows := rowsIn(t, doc); len(rows) != 3 {
		t.Errorf("%d risky users, want 3", len(rows))
	}
	if status, doc := ask("/" + c.device(CaseHealthy).User.OID.String()); status != 404 || code(doc) != "ResourceNotFound" {
		t.Errorf("clean user: %d %v", status, doc)
	}
	if _, doc := ask("/" + c.device(CaseUserHidden).User.OID.String()); doc["riskLevel"] != "hidden" {
		t.Errorf("hidden: %v", doc)
	}
	c.s.Check(t)
	if status, _ := ask("?$top=501"); status != 400 {
		t.Errorf("$top=501: %d", status)
	}
	resp := c.do("GET", "/graph/v1.0/identityProtection/riskyUsers", "")
	resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "" {
		t.Errorf("second call in a second: %d, Retry-After %q; want 429 without", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

func TestDiscovery(t *testing.T) {
	c := serve(t, Options{Devices: 3}).signIn(graphScope)
	for _, path := range []string{"/graph/v1.0/servicePrincipals/appId=" + intuneApp + "/endpoints", "/graph/v1.0/servicePrincipals(appId='" + intuneApp + "')/endpoints"} {
		rows, _ := c.rows(path)
		if len(rows) != 3 || !strings.EqualFold(rows[0]["providerName"].(string), "ComplianceRetrievalService") || rows[0]["uri"] != c.base+"/nac" || rows[1]["providerName"] != nil {
			t.Errorf("%s: %v", path, rows)
		}
	}
	if status, _ := c.get("/graph/v1.0/servicePrincipals/appId=00000000-0000-0000-0000-000000000000/endpoints"); status != 404 {
		t.Errorf("another application: %d", status)
	}
}
