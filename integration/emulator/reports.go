package emulator

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// jobs are the export jobs. The oldest are forgotten.
type jobs struct {
	mu   sync.Mutex
	list []*job
}

type job struct {
	id      string
	columns []string
	asked   int // how often its status was asked
	sig     string
	made    time.Time
}

const maxJobs = 100

// column is one column of the report DevicesWithInventory: the name by which it is
// requested, and its header in the file.
type column struct {
	name, header string
	value        func(r row) string
}

const reportDate = "2006-01-02 15:04:05.0000000"

var columns = []column{
	{"DeviceId", "Device ID", func(r row) string { return r.managed().ID.String() }},
	{"DeviceName", "Device name", func(r row) string { return r.d.Name }},
	{"CreatedDate", "Enrollment date", func(r row) string { return r.managed().Enrolled.UTC().Format(reportDate) }},
	{"LastContact", "Last check-in", func(r row) string { return r.managed().LastSync.UTC().Format(reportDate) }},
	{"ReferenceId", "Microsoft Entra Device ID", func(r row) string { return r.d.EntraID.String() }},
	{"OSVersion", "OS version", func(r row) string { return r.d.OSVersion }},
	{"GraphDeviceIsManaged", "Microsoft Entra registered", func(r row) string { return title(NullBoolOf(!r.d.EntraID.IsZero()).String()) }},
	{"SerialNumber", "Serial number", func(r row) string { return r.d.Serial }},
	{"Manufacturer", "Manufacturer", manufacturer},
	{"InGracePeriodUntil", "Compliance grace period expiration", func(r row) string { return graceEnd(r.managed().GraceUntil).Format(reportDate) }},
	{"AndroidPatchLevel", "Security patch level", func(r row) string { return r.managed().PatchLevel }},
	{"WifiMacAddress", "Wi-Fi MAC", func(r row) string { return r.d.mac() }},
	{"UserId", "UserId", func(r row) string {
		if r.d.User == nil {
			return ""
		}
		return r.d.User.OID.String()
	}},
	{"UPN", "Primary user UPN", upn},
	{"CompliantState", "Compliance", reportCompliance},
	{"ManagementAgent", "Managed by", reportAgent},
	{"OwnerType", "Ownership", func(r row) string { return title(r.managed().OwnerType) }},
	{"ManagementState", "Device state", func(r row) string { return title(r.managed().State) }},
	{"DeviceRegistrationState", "Intune registered", func(r row) string { return title(r.managed().Registration) }},
	{"IsSupervised", "Supervised", func(r row) string { return title(NullBoolOf(r.managed().Supervised).String()) }},
	{"IsEncrypted", "Encrypted", func(r row) string { return title(NullBoolOf(r.managed().Encrypted).String()) }},
	{"DeviceType", "OS", func(r row) string { return r.d.OS }},
	{"JoinType", "JoinType", joinType},
	{"JailBroken", "Jailbroken", func(r row) string { return r.managed().JailBroken }},
}

func title(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// reportCompliance: reports spell the states for people.
func reportCompliance(r row) string {
	switch c := r.managed().Compliance; c {
	case "noncompliant":
		return "Noncompliant"
	case "inGracePeriod":
		return "In grace period"
	case "unknown":
		return "Not evaluated"
	case "configManager":
		return "See ConfigMgr"
	default:
		return title(c)
	}
}

// reportAgent: reports name the manager, not the agent.
func reportAgent(r row) string {
	switch r.managed().Agent {
	case "configurationManagerClientMdm", "configurationManagerClientMdmEas":
		return "Co-managed"
	case "configurationManagerClient":
		return "ConfigMgr"
	case "msSense":
		return "MDE"
	case "mdm", "intuneClient":
		return "Intune"
	}
	return "MDM"
}

// newExport starts a job for the report DevicesWithInventory as CSV.
func (c *call) newExport() {
	var in struct {
		ReportName, Format, Filter string
		Select                     []string
	}
	err := json.Unmarshal(c.input, &in)
	if err != nil || in.ReportName != "DevicesWithInventory" || in.Filter != "" || in.Format != "" && !strings.EqualFold(in.Format, "csv") {
		c.refuse(http.StatusBadRequest, "BadRequest", "only the report DevicesWithInventory as csv without a filter is there")
		return
	}
	for _, name := range in.Select {
		if !slices.ContainsFunc(columns, func(x column) bool { return x.name == name }) {
			c.refuse(http.StatusBadRequest, "BadRequest", "the report has no column '"+name+"'")
			return
		}
	}
	j := &job{id: "DevicesWithInventory_" + c.s.login.uuid().String(), columns: in.Select, sig: c.s.login.uuid().String(), made: c.now}
	c.s.jobs.mu.Lock()
	c.s.jobs.list = append(c.s.jobs.list[max(0, len(c.s.jobs.list)-maxJobs+1):], j)
	c.s.jobs.mu.Unlock()
	c.job(j, "notStarted")
	c.status = http.StatusCreated
}

func (s *Server) job(id string) *job {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	for _, j := range s.jobs.list {
		if j.id == id {
			j.asked++
			return &job{j.id, j.columns, j.asked, j.sig, j.made}
		}
	}
	return nil
}

// exportStatus: in progress when asked first, completed from then on.
func (c *call) exportStatus() {
	j := c.s.job(c.params[0])
	switch {
	case j == nil:
		c.fail(http.StatusNotFound, "ResourceNotFound", "Export job was not found")
	case j.asked < 2:
		c.job(j, "inProgress")
	default:
		c.job(j, "completed")
	}
}

func (c *call) job(j *job, status string) {
	url, expires := any(nil), any("0001-01-01T00:00:00Z")
	if status == "completed" {
		url, expires = c.base+"/blob/"+j.id+".zip?sig="+j.sig, j.made.Add(time.Hour).UTC().Format(time.RFC3339)
	}
	c.json(map[string]any{
		"id": j.id, "reportName": "DevicesWithInventory", "format": "csv", "select": j.columns, "status": status,
		"url": url, "expirationDateTime": expires, "requestDateTime": j.made.UTC().Format(time.RFC3339),
	})
}

// download answers the file as blob storage does: the signature in the link is the
// whole credential, and an Authorization header there gives a token away.
func (c *call) download() {
	if c.r.Header.Get("Authorization") != "" {
		c.violate("Authorization was sent to blob storage")
	}
	id := strings.TrimSuffix(c.params[0], ".zip")
	j := c.s.job(id)
	if j == nil || c.query.Get("sig") != j.sig || c.now.After(j.made.Add(time.Hour)) {
		c.refuse(http.StatusForbidden, "AuthenticationFailed", "Server failed to authenticate the request.")
		return
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	var file bytes.Buffer
	z := zip.NewWriter(&file)
	f, err := z.Create(id + ".csv")
	if err == nil {
		_, err = f.Write(c.report(j.columns))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // writing to memory does not fail
	}
	c.body = append(c.body[:0], file.Bytes()...)
}

// report renders the file: byte-order mark, CRLF, columns in the service's order.
func (c *call) report(names []string) []byte {
	var chosen []column
	for _, col := range columns {
		if len(names) == 0 || slices.Contains(names, col.name) {
			chosen = append(chosen, col)
		}
	}
	b := bytes.NewBufferString("\ufeff")
	w := csv.NewWriter(b)
	w.UseCRLF = true
	line := make([]string, len(chosen))
	for i, col := range chosen {
		line[i] = col.header
	}
	_ = w.Write(line)
	managedFields.each(c.s.fleet, 0, func(_ int64, r row) bool {
		for i, col := range chosen {
			line[i] = col.value(r)
		}
		_ = w.Write(line)
		return true
	})
	w.Flush()
	return b.Bytes()
}
