package emulator

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDefender(t *testing.T) {
	c := serve(t, Options{Devices: 60}).signIn(defenderScope)
	dup, medium := c.device(CaseDuplicate), c.device(CaseDefenderMedium)
	tests := []struct {
		query        string
		status, want int // -1: at least one
	}{
		{"", 200, -1},
		{"$filter=aadDeviceId eq " + dup.EntraID.String(), 200, 2},
		{"$filter=aadDeviceId eq '" + dup.EntraID.String() + "'", 200, 2},
		{"$filter=aadDeviceId eq 00000000-0000-4000-8000-000000000000", 404, 0},
		{"$filter=riskScore eq 'High' or riskScore eq 'Medium'", 200, -1},
		{"$filter=lastSeen gt 2099-01-01T00:00:00Z", 404, 0},
		{"$top=5&$skip=3", 200, 5},
		{"$top=5&$skip=100000", 200, 0},
		{"$top=10001", 400, 0},
		{"$filter=nonsense eq 'x'", 400, 0},
	}
	for _, tc := range tests {
		status, doc := c.get("/defender/api/machines?" + tc.query)
		if status != tc.status {
			t.Errorf("%s: %d %v, want %d", tc.query, status, doc, tc.status)
		} else if status == 200 {
			if n := len(rowsIn(t, doc)); n != tc.want && (tc.want >= 0 || n == 0) || doc["@odata.nextLink"] != nil {
				t.Errorf("%s: %d rows, want %d", tc.query, n, tc.want)
			}
		}
	}
	rows, _ := c.rows("/defender/api/v1.0/machines?$filter=aadDeviceId eq " + medium.EntraID.String())
	if r := rows[0]; r["riskScore"] != "Medium" || r["aadDeviceId"] != medium.EntraID.String() || r["onboardingStatus"] != "onboarded" {
		t.Errorf("machine %v", r)
	}
	id := rows[0]["id"].(string)
	if _, doc := c.get("/defender/api/machines/" + id); doc["id"] != id || len(id) != 40 {
		t.Errorf("by id: %v", doc)
	}
	if status, doc := c.get("/defender/api/machines/" + strings.Repeat("0", 40)); status != 404 || code(doc) != "ResourceNotFound" {
		t.Errorf("unknown machine: %d %v", status, doc)
	}
	if rows, _ := c.rows("/defender/api/machines/" + id + "/alerts"); len(rows) != 1 || rows[0]["status"] != "InProgress" || rows[0]["machineId"] != id {
		t.Errorf("alerts of the machine: %v", rows)
	}
	if rows, _ := c.rows("/defender/api/alerts?$filter=status eq 'New' and severity eq 'High'"); len(rows) == 0 {
		t.Error("no new alerts")
	}
	c = serve(t, Options{Devices: 60, NoAadDeviceIDFilter: true}).signIn(defenderScope)
	if status, doc := c.get("/defender/api/machines?$filter=aadDeviceId eq " + dup.EntraID.String()); status != 400 || code(doc) != "ODataError" {
		t.Errorf("without that filter: %d %v", status, doc)
	}
	c.s.Check(t)
}

// nacXML is version 3 of the answer as a client reads it.
type nacXML struct {
	XMLName xml.Name
	Devices []struct {
		GUID       string `xml:"guid"`
		MAC        string `xml:"macaddress"`
		Registered string `xml:"Attributes>register_status"`
		Status     string `xml:"Attributes>Compliance>status"`
		Plain      string `xml:"attributes>compliance>status"`
	} `xml:"deviceList>device"`
}

func TestNAC(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	c := serve(t, Options{Devices: 60, Clock: func() time.Time { return now }}).signIn(nacScope)
	ask := func(path string) (nacXML, int) {
		resp := c.do("GET", path, "", "Accept", "application/xml")
		defer resp.Body.Close()
		var v nacXML
		err := xml.NewDecoder(resp.Body).Decode(&v)
		if err != nil {
			t.Fatal(err)
		}
		return v, resp.StatusCode
	}
	query := func(version, criteria, value string) nacXML {
		v, status := ask("/nac/" + version + "cisco/devices/?paging=0&querycriteria=" + criteria + "&value=" + value + "&filter=all")
		if status != 200 {
			t.Errorf("%s %s: %d", criteria, value, status)
		}
		return v
	}
	only, bad := c.device(CaseNACOnly), c.device(CaseNoncompliant)
	for _, tc := range []struct{ value, registered, status string }{
		{only.NAC.ID.String(), "true", "true"},
		{strings.ToUpper(bad.Managed[0].ID.String()), "true", "false"},
		{c.device(CaseGraceFar).Managed[0].ID.String(), "true", "true"},
		{c.device(CaseRevoked).Managed[0].ID.String(), "false", "true"},
	} {
		v := query("", "guid", tc.value)
		if len(v.Devices) != 1 || v.Devices[0].Registered != tc.registered || v.Devices[0].Status != tc.status || !strings.Contains(v.XMLName.Space, "ComplianceRetrievalService.Model") {
			t.Errorf("%s: %+v", tc.value, v)
		}
	}
	if v := query("", "macaddress", bad.mac()); len(v.Devices) != 1 || v.Devices[0].MAC != bad.mac() || v.Devices[0].Status != "false" {
		t.Errorf("by MAC: %+v", v)
	}
	if v := query("", "guid", GroupEveryone.String()); len(v.Devices) != 0 {
		t.Errorf("unknown: %+v", v)
	}
	if v := query("v2/", "guid", bad.Managed[0].ID.String()); len(v.Devices) != 1 || v.Devices[0].Plain != "false" || v.XMLName.Space != "" {
		t.Errorf("version 2: %+v", v)
	}
	list := "/nac/cisco/devices/?paging=0&querycriteria=compliance&value=false&deviceidentifier=guid&filter=all"
	if v, status := ask(list); status != 200 || len(v.Devices) < 5 {
		t.Errorf("list: %d, %d devices", status, len(v.Devices))
	}
	c.s.Check(t)
	if _, status := ask(list); status != 503 {
		t.Errorf("second list: %d", status)
	}
	if n := c.s.Calls()["nac/list"]; n != 2 {
		t.Errorf("%d calls of the list", n)
	}
	now = now.Add(4 * time.Hour)
	c = c.signIn(nacScope)
	if _, status := ask(list); status != 200 {
		t.Errorf("after four hours: %d", status)
	}
}

func TestAdminService(t *testing.T) {
	c := serve(t, Options{Devices: 60})
	const wmi = "/cm/AdminService/wmi/"
	resp := c.do("GET", wmi+"SMS_R_System", "")
	resp.Body.Close()
	if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != "Negotiate" {
		t.Errorf("without a credential: %d %v", resp.StatusCode, resp.Header)
	}
	c.s.Check(t)
	c.auth = "Bearer " + AdminToken
	d := c.device(CaseUpdatesMissing)
	id := itoa(d.ConfigMgr.ID)
	tests := []struct {
		path         string
		status, want int // -1: at least one
	}{
		{"SMS_R_System?$filter=AADDeviceID eq '" + d.EntraID.String() + "'", 200, 1},
		{"SMS_R_System?$filter=SID eq '" + d.ConfigMgr.SID + "'", 200, 1},
		{"SMS_R_System?$filter=startswith(Name,'lt-') eq true&$top=2", 200, 2},
		{"SMS_R_System(" + id + ")", 200, 1},
		{"SMS_R_System(1)", 404, 0},
		{"sms_r_system", 404, 0},
		{"SMS_G_System_TPM", 404, 0},
		{"SMS_CombinedDeviceResources?$filter=ResourceID eq " + id, 200, 1},
		{"SMS_CombinedDeviceResources?$top=3&$skip=2&$select=ResourceID,Name", 200, 3},
		{"SMS_CombinedDeviceResources?$filter=IsBlocked eq true", 200, -1},
		{"SMS_UpdateComplianceStatus?$filter=MachineID eq " + id + " and Status eq 2", 200, 2},
		{"SMS_UpdateComplianceStatus?$filter=Status eq 2&$skip=100000", 200, 0},
		{"SMS_Client_ComanagementState?$filter=MDMEnrolled eq true and ComgmtPolicyPresent eq true", 200, -1},
		{"SMS_R_System?$filter=Active eq 1 or Client eq 1", 400, 0},
	}
	for _, tc := range tests {
		resp := c.do("GET", wmi+tc.path, "")
		if resp.StatusCode != tc.status {
			t.Errorf("%s: %d, want %d", tc.path, resp.StatusCode, tc.status)
		}
		doc := decode(t, resp)
		if tc.status == 200 {
			if rows := rowsIn(t, doc); len(rows) != tc.want && (tc.want >= 0 || len(rows) == 0) {
				t.Errorf("%s: %d rows, want %d", tc.path, len(rows), tc.want)
			} else if len(rows) > 0 && rows[0]["@odata.etag"] != "FC1" {
				t.Errorf("%s: %v", tc.path, rows[0])
			}
		}
	}
	r := c.do("GET", wmi+"SMS_R_System?$top=1", "", "Authorization", "Basic wrong")
	r.Body.Close()
	if r.StatusCode != 401 {
		t.Errorf("wrong password: %d", r.StatusCode)
	}
}

func TestNegotiateHook(t *testing.T) {
	c := serve(t, Options{Devices: 10, Negotiate: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Negotiate ticket" {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("WWW-Authenticate", "Negotiate challenge")
			w.WriteHeader(http.StatusUnauthorized)
		})
	}})
	for auth, want := range map[string]int{"": 401, "Negotiate ticket": 200, "Negotiate other": 401} {
		c.auth = auth
		resp := c.do("GET", "/cm/AdminService/wmi/SMS_R_System", "")
		resp.Body.Close()
		if resp.StatusCode != want || want == 401 && resp.Header.Get("WWW-Authenticate") != "Negotiate challenge" {
			t.Errorf("%q: %d %v, want %d", auth, resp.StatusCode, resp.Header, want)
		}
	}
}

func TestBatch(t *testing.T) {
	c := serve(t, Options{Devices: 40}).signIn(graphScope)
	d := c.device(CaseNoncompliant)
	c.s.Fail("graph/user", Fault{Kind: Throttle429, RetryAfter: "3", Count: 1})
	resp := c.do("POST", "/graph/v1.0/$batch", `{"requests":[
		{"id":"1","method":"GET","url":"/deviceManagement/managedDevices?$filter=azureADDeviceId eq '`+d.EntraID.String()+`'&$select=id,complianceState"},
		{"id":"2","method":"GET","url":"/devices/`+d.EntraID.String()+`?$select=id"},
		{"id":"3","method":"GET","url":"/users/`+d.User.OID.String()+`?$select=id"},
		{"id":"4","method":"POST","url":"/users/`+d.User.OID.String()+`/checkMemberGroups","headers":{"Content-Type":"application/json"},"body":{"groupIds":["`+GroupEveryone.String()+`"]}}]}`)
	doc := decode(t, resp)
	got := map[string]batchResponse{}
	for _, r := range doc["responses"].([]any) {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var a batchResponse
		if err := json.Unmarshal(b, &a); err != nil {
			t.Fatal(err)
		}
		got[a.ID] = a
	}
	for id, want := range map[string]int{"1": 200, "2": 404, "3": 429, "4": 200} {
		if got[id].Status != want {
			t.Errorf("part %s: %d %s, want %d", id, got[id].Status, got[id].Body, want)
		}
	}
	if got["3"].Headers["Retry-After"] != "3" || !strings.Contains(string(got["1"].Body), `"noncompliant"`) {
		t.Errorf("%+v", got)
	}
	if n := c.s.Calls()["graph/managedDevices"]; n != 1 {
		t.Errorf("%d calls", n)
	}
	c.s.Check(t)
	for _, bad := range []string{`{}`, `{"requests":[]}`, `{"requests":[{"id":"1","method":"GET","url":"https://graph/x"}]}`, `{"requests":[` + strings.Repeat(`{"id":"1","method":"GET","url":"/devices"},`, 20) + `{"id":"x","method":"GET","url":"/devices"}]}`} {
		resp := c.do("POST", "/graph/v1.0/$batch", bad)
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("%.50s: %d", bad, resp.StatusCode)
		}
	}
}

func TestExport(t *testing.T) {
	c := serve(t, Options{Devices: 60}).signIn(graphScope)
	resp := c.do("POST", "/graph/beta/deviceManagement/reports/exportJobs", `{"reportName":"DevicesWithInventory","format":"csv","select":["DeviceId","ReferenceId","CompliantState"]}`)
	job := decode(t, resp)
	if resp.StatusCode != 201 || job["status"] != "notStarted" {
		t.Fatalf("new job: %d %v", resp.StatusCode, job)
	}
	var url string
	for range 3 {
		_, doc := c.get("/graph/beta/deviceManagement/reports/exportJobs('" + job["id"].(string) + "')")
		url, _ = doc["url"].(string)
	}
	anonymous := *c
	anonymous.auth = ""
	resp = anonymous.do("GET", url, "")
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil || len(z.File) != 1 {
		t.Fatalf("zip: %v", err)
	}
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := 1
	for _, d := range c.s.Devices() {
		want += len(d.Managed)
	}
	if len(rows) != want || strings.Join(rows[0], "|") != "\ufeffDevice ID|Microsoft Entra Device ID|Compliance" {
		t.Errorf("%d rows, want %d; header %q", len(rows), want, rows[0])
	}
	c.s.Check(t)
	resp = c.do("GET", url, "")
	resp.Body.Close()
	if len(c.s.Violations()) != 1 {
		t.Error("a token sent to blob storage is no violation")
	}
	if resp := anonymous.do("GET", url+"x", ""); resp.StatusCode != 403 {
		t.Errorf("wrong signature: %d", resp.StatusCode)
	}
}

func TestControl(t *testing.T) {
	c := serve(t, Options{Devices: 60})
	resp := c.do("PATCH", "/control/devices/"+CaseHealthy, `{"Managed.Compliance":"noncompliant","Directory.Enabled":false,"managed.0.Encrypted":false}`)
	resp.Body.Close()
	d := c.device(CaseHealthy)
	if resp.StatusCode != 200 || d.Managed[0].Compliance != "noncompliant" || d.Directory.Enabled || d.Directory.Compliant != False {
		t.Errorf("after PATCH: %d %+v", resp.StatusCode, d.Managed[0])
	}
	if resp := c.do("POST", "/control/faults", `{"Route":"graph/devices","Kind":"status","Status":500,"Count":1}`); resp.StatusCode != 200 {
		t.Errorf("fault: %d", resp.StatusCode)
	}
	if status, _ := c.signIn(graphScope).get("/graph/v1.0/devices?$select=id"); status != 500 {
		t.Errorf("the fault is not there: %d", status)
	}
	for path, body := range map[string]string{
		"/control/devices/nobody": `{}`, "/control/devices/" + CaseHealthy: `{"Managed.7.Compliance":"x"}`, "/control/nonsense": `{}`,
		"/control/devices/" + CaseJamf: `{"slot":1}`, "/control/devices/" + CaseComanaged: `{"NAC.Registered":true}`,
	} {
		if resp := c.do("PATCH", path, body); resp.StatusCode != 400 {
			t.Errorf("%s %s: %d, want 400", path, body, resp.StatusCode)
		}
	}
	for _, path := range []string{"/control/devices?top=3", "/control/devices/" + CaseJamf, "/control/calls", "/control/violations", "/control/routes", "/control/faults"} {
		resp := c.do("GET", path, "")
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !json.Valid(b) {
			t.Errorf("%s: %d %v %.100s", path, resp.StatusCode, err, b)
		}
	}
	if resp := c.do("GET", "/control/devices", "", "Origin", "https://evil.example"); resp.StatusCode != 403 {
		t.Errorf("from a browser: %d", resp.StatusCode)
	}
}
