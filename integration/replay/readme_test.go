package replay

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/integration/vectors"
)

// TestReadmeStatuses compares the HTTP column of the table of reasons with
// what the gateway answers. The answers are those of the lists that the other
// tests of this package hold against the real binary, request by request.
func TestReadmeStatuses(t *testing.T) {
	seen := answered(t)
	table := readmeColumn(t)
	for r := decision.NoReason + 1; r < decision.NumReasons; r++ {
		code := r.Code()
		got := slices.Sorted(slices.Values(seen[code]))
		slices.Reverse(got) // "passes" first
		if want := strings.Join(slices.Compact(got), " or "); table[code] != want {
			t.Errorf("the table says %q about %s, the gateway answers %q", table[code], code, want)
		}
		delete(table, code)
	}
	for code := range table {
		t.Errorf("the table lists %q, which is no reason", code)
	}
}

// altered are policies that say themselves what a reason leads to.
var altered = regexp.MustCompile(`(?m)^\s*(exempt|on_unknown|on_outage)\s|\selse\s`)

// answered are the statuses of each reason, as the table means them: what an API
// client sees where the reason stands alone and no line of the policy says
// otherwise. A reason that stands beside its cause only, counts there.
func answered(t *testing.T) map[string][]string {
	t.Helper()
	alone, beside := map[string][]string{}, map[string][]string{}
	note := func(code string, status int) { alone[code] = append(alone[code], strconv.Itoa(status)) }
	for _, v := range load(t) { // TestReplay
		if altered.MatchString(v.Policy) {
			continue
		}
		if len(v.Reasons) == 1 {
			note(v.Reasons[0], v.Status)
		}
		for _, code := range v.Reasons {
			beside[code] = append(beside[code], strconv.Itoa(v.Status))
		}
		if v.Want == "allow" {
			for _, code := range v.Warnings {
				alone[code] = append(alone[code], "passes")
			}
		}
	}
	for _, f := range faults { // TestRequestReasons
		note(f.reason.Code(), f.status)
	}
	for r, test := range ownTests {
		note(r.Code(), test.status)
	}
	for r, remote := range remoteOnly {
		note(r.Code(), vectors.Statuses[remoteOutcome(t, r, remote.cause)])
	}
	for code, statuses := range beside {
		if alone[code] == nil {
			alone[code] = statuses
		}
	}
	return alone
}

// remoteOutcome lets the engine decide about a device that a source could not be
// asked about. Which status an outcome has, every vector with it shows.
func remoteOutcome(t *testing.T, r decision.Reason, cause decision.Cause) string {
	t.Helper()
	now := time.Now()
	key := decision.Key{Kind: decision.KindEntra, Value: deviceID}
	state := &decision.SourceState{Name: "remote", Authoritative: true}
	state.SetSupplies(decision.AllFacts)
	state.Confirm(now)
	q := decision.Request{
		Now: now, Posture: decision.Merge([]decision.Report{{State: state, Cause: cause}}, key),
		Identity: &decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{key}, Proof: decision.ProofCertificate}},
	}
	p := decision.Policy{Requirements: []decision.Requirement{{Kind: decision.RequireCompliant}}, Ages: decision.Ages{MaxAge: time.Hour}}
	var d decision.Decision
	new(decision.Engine).Decide(&p, &q, &d)
	if len(d.Findings) != 1 || d.Findings[0].Reason != r {
		t.Fatalf("the engine finds %+v, want %s", d.Findings, r)
	}
	return d.Outcome.String()
}

// readmeColumn reads the table in decision/README.md: code to HTTP.
func readmeColumn(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("../../decision/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(raw), "<!-- reasons -->\n")
	table, _, ok := strings.Cut(table, "<!-- /reasons -->\n")
	if !ok {
		t.Fatal("decision/README.md has no table of reasons")
	}
	column := map[string]string{}
	for line := range strings.Lines(table) {
		code, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` | ")
		if ok {
			column[code] = strings.Split(line, " | ")[2]
		}
	}
	return column
}
