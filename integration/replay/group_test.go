package replay

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
	"github.com/gatehouse-project/gatehouse/integration/vectors"
)

const vectorDir = "../../decision/testdata/vectors"

// load reads the vectors. Dates end at midnight UTC, and the gateway has a clock
// of its own: in the last hour of a day, what holds until today would end during
// the replay. It holds until tomorrow then, which asks for the same answer. Days
// before and after today are far enough away at any hour.
func load(t testing.TB) []vectors.Vector {
	t.Helper()
	vs, err := vectors.Load(vectorDir)
	if err != nil {
		t.Fatal(err)
	}
	if time.Now().UTC().Hour() == 23 {
		for i := range vs {
			vs[i].Policy = strings.ReplaceAll(vs[i].Policy, "{{+0d}}", "{{+1d}}")
		}
	}
	return vs
}

// entry is one vector in its group.
type entry struct {
	*vectors.Vector
	// prefix makes the names of the vector's policies and step-ups its own.
	prefix string
	// policy is the tested policy's name, with the prefix.
	policy string
}

// group are the vectors that one gateway can replay.
type group struct {
	name      string
	feed      vectors.Feed
	forwarded bool
	users     bool // the feed that was never read is asked about users
	entries   []entry
}

// grouped sorts the vectors into groups, in a stable order.
func grouped(t testing.TB, vs []vectors.Vector, now time.Time) []*group {
	t.Helper()
	groups := map[string]*group{}
	attesting := map[string]int{} // text of attesting step-ups, to a number
	for i := range vs {
		v := &vs[i]
		name, err := v.PolicyName(now)
		if err != nil {
			t.Fatalf("%s:%d: %v", v.File, v.Line, err)
		}
		forwarded := v.Device != nil && v.Device.Proof == "forwarded_certificate"
		key := string(v.Feed)
		if forwarded {
			key += "_forwarded"
		}
		if text := attestingText(v.Policy); text != "" {
			if attesting[text] == 0 {
				attesting[text] = len(attesting) + 1
			}
			key += fmt.Sprintf("_attesting_%d", attesting[text])
		}
		users := v.Feed == vectors.FeedMissing && strings.Contains(v.Policy, "user_risk")
		if users {
			key += "_users"
		}
		g := groups[key]
		if g == nil {
			g = &group{name: key, feed: v.Feed, forwarded: forwarded, users: users}
			groups[key] = g
		}
		prefix := fmt.Sprintf("v%d-", i)
		g.entries = append(g.entries, entry{v, prefix, prefix + name})
	}
	list := make([]*group, 0, len(groups))
	for _, g := range groups {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *group) int { return cmp.Compare(a.name, b.name) })
	return list
}

// attestingText is the vector's step_up blocks, if one of them attests.
func attestingText(policy string) string {
	if !regexp.MustCompile(`(?m)^\s*attests `).MatchString(policy) {
		return ""
	}
	end := regexp.MustCompile(`(?m)^\s*policy `).FindStringIndex(policy)
	if end == nil {
		return policy
	}
	return policy[:end[0]]
}

// The places where a policy text names a policy or a step-up.
var (
	policyNames = regexp.MustCompile(`(?m)^(\s*(?:policy|extends)\s+)(\S+)`)
	stepUpNames = regexp.MustCompile(`(?m)^(\s*(?:step_up|require step_up|on_unknown step_up|on_outage step_up)\s+|[^#\n]*\belse step_up\s+)(\S+)`)
)

// policyText is the vector's policy under names of its own.
func (e *entry) policyText(now time.Time) string {
	text := e.PolicyText(now)
	for _, names := range []*regexp.Regexp{policyNames, stepUpNames} {
		text = names.ReplaceAllString(text, "${1}"+e.prefix+"${2}")
	}
	return text
}

// overTLS reports whether the request comes over TLS with a certificate.
func (e *entry) overTLS() bool {
	return e.Device != nil && (e.Device.Proof == "certificate" || e.Device.Proof == "bound_token" || e.Device.Serial != "")
}

// stage is a running gateway with everything around it.
type stage struct {
	*group
	now      time.Time
	gateway  *rig.Gateway
	upstream *rig.Upstream
	issuers  map[string]*rig.Issuer
	deviceCA *rig.CA // of device certificates
	otherCA  *rig.CA // trusted by TLS, but not for devices
	serverCA *rig.CA
	tls      int // port of the TLS sites
	plain    int // port of the plain sites, on loopback
}

// open starts the group's gateway.
func open(t testing.TB, g *group, now time.Time) *stage {
	t.Helper()
	s := &stage{
		group: g, now: now, upstream: rig.NewUpstream(t), tls: rig.FreePort(t), plain: rig.FreePort(t),
		issuers: map[string]*rig.Issuer{
			"corp":  rig.NewIssuer(t, vectors.CorpIssuer),
			"entra": rig.NewIssuer(t, "https://login.microsoftonline.com/"+vectors.TenantID+"/v2.0"),
		},
		deviceCA: rig.NewCA(t, "Device CA"), otherCA: rig.NewCA(t, "Client CA"), serverCA: rig.NewCA(t, "Server CA"),
	}
	file := filepath.Join(t.TempDir(), "devices.json")
	s.writeInventory(t, file)
	s.gateway = rig.Start(t, s.setup(file))
	return s
}

// maxFileAge is written into the configuration, so that the ages below do not
// rest on a default.
const maxFileAge = 26 * time.Hour

// writeInventory writes the rows of the whole group and dates the file.
func (s *stage) writeInventory(t testing.TB, path string) {
	t.Helper()
	devices, users := []map[string]any{complete()}, []map[string]any{
		{"upn": "complete@corp.example", "enabled": true, "risk": "none", "compromised": false},
	}
	for _, e := range s.entries {
		if row := e.InventoryRow(s.now); row != nil {
			devices = append(devices, row)
		}
		if row := e.AccountRow(); row != nil {
			users = append(users, row)
		}
	}
	text, err := json.Marshal(map[string]any{"version": 1, "devices": devices, "users": users})
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	date := s.now
	switch s.feed {
	case vectors.FeedStale:
		date = s.now.Add(-maxFileAge - vectors.StaleFor)
	case vectors.FeedExpired:
		date = s.now.Add(-maxFileAge - vectors.ExpiredFor)
	case vectors.FeedFresh, vectors.FeedMissing:
	}
	if err == nil {
		err = os.Chtimes(path, date, date)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// complete is a device of nobody's with every member. A file can report exactly
// the facts that some row of it has; vectors are about one that reports all.
func complete() map[string]any {
	return map[string]any{
		"ids": map[string]any{"entra": "00000000-0000-4000-8000-000000000001"}, "name": "COMPLETE", "model": "X1",
		"platform": "windows", "os_version": "10.0.26100.1", "compliance": "compliant", "managed": true, "channel": "intune",
		"lifecycle": "active", "enabled": true, "trust": "joined", "ownership": "corporate",
		"owner": map[string]any{"upn": "complete@corp.example"}, "encrypted": true, "updated": true, "jailbroken": false,
		"apps": true, "antivirus": true, "firewall": true, "secure_boot": true, "supervised": true, "risk": "low",
		"sensor": "active", "exposure": "low", "malware": false,
		"last_check_in": "2026-01-02T03:04:05Z", "evaluated_at": "2026-01-02T03:04:05Z",
	}
}

// sources are the feed: the file, or for a feed that was never read services that
// do not answer, because no gateway starts with a file that it cannot read.
func (s *stage) sources(inventory string) string {
	if s.feed != vectors.FeedMissing {
		return "source inventory " + inventory + " {\nmax_file_age 26h\ncheck_interval 200ms\n}"
	}
	if s.users { // of whom only Entra tells; any file holds a secret for a service that is never asked
		return "microsoft {\ntenant " + vectors.TenantID + "\nclient_id a\nclient_secret {file." + inventory + "}\n" +
			"endpoint authority " + nowhere + "\nendpoint graph " + nowhere + "\n}\nsource entra {\npoll 1s\n}"
	}
	var b strings.Builder
	b.WriteString("source httpjson devices {\npoll 1s\nlist " + nowhere + "/devices\nmap entra_id /id\n")
	for _, name := range []string{
		"platform", "os_version", "compliance", "managed", "lifecycle", "enabled", "trust", "ownership", "owner_upn", "encrypted", "updated",
		"jailbroken", "apps", "antivirus", "firewall", "secure_boot", "supervised", "risk", "sensor", "exposure", "malware", "last_check_in",
	} {
		fmt.Fprintf(&b, "map %s /%s\n", name, name)
	}
	return b.String() + "}"
}

// nowhere is a port of this machine that nobody listens on.
const nowhere = "https://127.0.0.1:1"

// setup is the configuration: one site per vector.
func (s *stage) setup(inventory string) rig.Setup {
	var c, sites strings.Builder
	fmt.Fprintf(&c, `
		issuer corp %s {
			jwks file %s
			audience intranet
			groups_claim groups
			device_claim deviceid entra
		}
		issuer entra {
			tenant %s
			jwks file %s
			audience intranet
			device_claim deviceid entra
		}
		client_certificate {
			trust_pool file %s
			device_id entra subject_cn
			device_id serial serial_number
			user_id san_upn
		}
		%s
		decision_log all
`, s.issuers["corp"].URL, s.issuers["corp"].JWKS, vectors.TenantID, s.issuers["entra"].JWKS, s.deviceCA.File, s.sources(inventory))
	if s.forwarded {
		c.WriteString("\nforwarded_certificate rfc9440 {\nfrom 127.0.0.1\n}\n")
	}
	cert, key := s.serverCA.Server("*.corp.example")
	for i := range s.entries {
		e := &s.entries[i]
		c.WriteString(e.policyText(s.now))
		c.WriteByte('\n')
		if e.overTLS() {
			fmt.Fprintf(&sites, `
https://%s:%d {
	bind 127.0.0.1
	tls %s %s {
		client_auth {
			mode verify_if_given
			trust_pool file %s %s
		}
	}
	compliance %s
	reverse_proxy %s
}
`, e.Host(), s.tls, cert, key, s.deviceCA.File, s.otherCA.File, e.policy, s.upstream.Addr())
			continue
		}
		fmt.Fprintf(&sites, `
http://%s:%d {
	bind 127.0.0.1
	compliance %s
	reverse_proxy %s
}
`, e.Host(), s.plain, e.policy, s.upstream.Addr())
	}
	return rig.Setup{
		Compliance: c.String(), Sites: sites.String(),
		// The client's address is this machine's, or what a vector says instead.
		Global: fmt.Sprintf("http_port %d\nhttps_port %d\nauto_https off\nservers {\ntrusted_proxies static 127.0.0.1/32\ntrusted_proxies_strict\n}", s.plain, s.tls),
	}
}
