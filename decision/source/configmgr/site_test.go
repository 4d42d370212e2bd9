package configmgr

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// now is the time of the tests that have no clock of their own.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// row is one instance of a class as the fake site keeps it.
type row map[string]any

// fakeSite is an AdminService over TLS with basic authentication. It knows $filter
// with eq and and, $top, $skip and $select, class names by case, and nothing else.
type fakeSite struct {
	*httptest.Server
	mu      sync.Mutex
	classes map[string][]row
	strict  map[string]string // class: properties that $select may name
	limit   int               // rows of a page, whatever $top says
	fault   func(w http.ResponseWriter, r *http.Request, class string) bool
	calls   []string // class and filter
}

func newFakeSite(t testing.TB) *fakeSite {
	t.Helper()
	f := &fakeSite{classes: map[string][]row{classSystem: nil, classResources: nil, classUpdates: nil, classComanagement: nil}}
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = discard
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

func (f *fakeSite) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(f.Certificate())
	return pool
}

func (f *fakeSite) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeSite) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// options are what a source needs to read the site.
func (f *fakeSite) options() Options {
	return Options{
		URL: f.URL + "/AdminService", RootCAs: f.roots(), PageSize: 3,
		Auth: Auth{Basic: &Basic{Username: "reader", Password: "correct horse"}},
		Now:  func() time.Time { return now },
	}
}

func (f *fakeSite) source(t testing.TB, change ...func(*Options)) *Source {
	t.Helper()
	o := f.options()
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// add adds a healthy client with a scanned update and returns its rows.
func (f *fakeSite) add(id int, entra, sid string) (system, facts row) {
	sms := fmt.Sprintf("GUID:%08X-0000-4000-8000-00000000C0DE", id)
	system = row{
		"ResourceID": id, "Name": fmt.Sprintf("LT-%04d", id), "NetbiosName": fmt.Sprintf("LT-%04d", id), "SMSUniqueIdentifier": sms,
		"SID": sid, "Client": 1, "Obsolete": 0, "Decommissioned": 0, "AADDeviceID": entra, "Build": "10.0.26200",
	}
	facts = row{
		"ResourceID": id, "Name": system["Name"], "SMSID": sms, "DeviceOS": "Microsoft Windows NT Workstation 10.0",
		"DeviceOSBuild": "10.0.26200.7171", "IsClient": true, "IsBlocked": false, "IsObsolete": false,
		"ClientActiveStatus": 1, "ClientCheckPass": 1, "DeviceOwner": 1,
		"LastActiveTime": "2026-11-21T07:58:00Z", "LastClientCheckTime": "2026-11-21T02:00:00Z",
		"LastPolicyRequest": "2026-11-21T07:40:00Z", "LastDDR": nil,
		"EPEnabled": true, "EPAntivirusEnabled": true, "EPDeploymentState": 3, "EPInfectionStatus": 1,
		"EPPendingReboot": false, "EPPendingFullScan": false, "EPPendingOfflineScan": false, "EPPendingManualSteps": false,
		"EPAntivirusSignatureLastUpdateDateTime": "2026-11-20T04:12:00Z",
	}
	f.set(func() {
		f.classes[classSystem] = append(f.classes[classSystem], system)
		f.classes[classResources] = append(f.classes[classResources], facts)
		f.classes[classComanagement] = append(f.classes[classComanagement], row{"MachineId": id, "MDMEnrolled": true, "ComgmtPolicyPresent": true})
	})
	f.update(id, 16900001, "5031356", updateInstalled)
	return system, facts
}

// clear takes every row out of the site.
func (f *fakeSite) clear() {
	f.set(func() {
		for class := range f.classes {
			f.classes[class] = nil
		}
	})
}

func (f *fakeSite) update(id, ci int, article string, status int) {
	f.set(func() {
		f.classes[classUpdates] = append(f.classes[classUpdates], row{"MachineID": id, "CI_ID": ci, "ArticleID": article, "Status": status})
	})
}

func (f *fakeSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	class, ok := strings.CutPrefix(r.URL.Path, "/AdminService/wmi/")
	q := r.URL.Query()
	f.calls = append(f.calls, strings.TrimSpace(class+" "+q.Get("$filter")))
	if f.fault != nil && f.fault(w, r, class) {
		return
	}
	if user, password, _ := r.BasicAuth(); user != "reader" || password != "correct horse" {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	rows, known := f.classes[class]
	if !ok || !known {
		http.Error(w, `{"error":{"code":"","message":"Resource not found for the segment"}}`, http.StatusNotFound)
		return
	}
	if !f.canSelect(class, q.Get("$select")) {
		http.Error(w, `{"error":{"code":"","message":"Could not find a property"}}`, http.StatusBadRequest)
		return
	}
	found := matching(rows, q.Get("$filter"))
	skip, _ := strconv.Atoi(q.Get("$skip"))
	top, err := strconv.Atoi(q.Get("$top"))
	if err != nil || f.limit > 0 && top > f.limit {
		top = f.limit
	}
	found = found[min(skip, len(found)):]
	writeRows(w, class, found[:min(top, len(found))])
}

func (f *fakeSite) canSelect(class, fields string) bool {
	allowed, strict := f.strict[class]
	if !strict || fields == "" {
		return true
	}
	for name := range strings.SplitSeq(fields, ",") {
		if !slices.Contains(strings.Split(allowed, ","), name) {
			return false
		}
	}
	return true
}

func writeRows(w http.ResponseWriter, class string, rows []row) {
	if rows == nil {
		rows = []row{}
	}
	w.Header().Set("Content-Type", "application/json; odata.metadata=minimal")
	_ = json.NewEncoder(w).Encode(map[string]any{"@odata.context": "https://cm01/AdminService/wmi/$metadata#" + class, "value": rows})
}

// matching evaluates name eq value [and name eq value].
func matching(rows []row, filter string) []row {
	if filter == "" {
		return rows
	}
	var found []row
next:
	for _, r := range rows {
		for term := range strings.SplitSeq(filter, " and ") {
			name, value, _ := strings.Cut(term, " eq ")
			if !strings.EqualFold(fmt.Sprint(r[name]), strings.Trim(value, "'")) {
				continue next
			}
		}
		found = append(found, r)
	}
	return found
}
