package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// loadTime is when every test configuration loads.
var loadTime = time.Date(2026, 3, 10, 9, 30, 0, 0, time.UTC)

// words splits a line like a Caddyfile: at blanks, with "" and “ for quotes.
func words(line string) []string {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end := strings.IndexAny(line, " \t")
		if q := line[0]; q == '"' || q == '`' {
			end = strings.IndexByte(line[1:], q)
			if end < 0 {
				return append(out, line[1:])
			}
			out, line = append(out, line[1:1+end]), line[end+2:]
			continue
		}
		if end < 0 {
			end = len(line)
		}
		out, line = append(out, line[:end]), line[end:]
	}
	return out
}

// config reads policies: a name at the margin, its lines indented. Places are
// "f:LINE".
func config(src string) []PolicyConfig {
	var out []PolicyConfig
	for i, line := range strings.Split(src, "\n") {
		place := fmt.Sprintf("f:%d", i+1)
		switch {
		case strings.TrimSpace(line) == "":
		case line[0] != '\t' && line[0] != ' ':
			out = append(out, PolicyConfig{Name: strings.TrimSpace(line), Place: place})
		default:
			p := &out[len(out)-1]
			p.Lines = append(p.Lines, Line{Words: words(line), Place: place})
		}
	}
	return out
}

// everything is an environment that can supply whatever a policy asks for.
func everything() Environment {
	return Environment{
		Facts:   decision.AllFacts,
		Sources: []string{"inventory"},
		Issuers: []Issuer{{Name: "corp"}, {Name: "entra", Entra: true}},
		Proofs:  []decision.Proof{decision.ProofToken, decision.ProofCertificate},
		Now:     loadTime,
	}
}

// mfa and strong are step-ups of both issuers; healthy attests posture.
func stepUps() []StepUpConfig {
	return []StepUpConfig{
		{Name: "mfa", Place: "s:1", MaxAge: "12h", For: []StepUpFor{
			{Issuer: "entra", AuthContext: "c1"}, {Issuer: "corp", ACRValues: []string{"urn:mfa"}, AMR: []string{"mfa"}},
		}},
		{Name: "strong", Place: "s:9", For: []StepUpFor{{Issuer: "corp", AMR: []string{"hwk"}}}},
	}
}

func healthy() StepUpConfig {
	return StepUpConfig{Name: "healthy", Place: "s:20", For: []StepUpFor{
		{Issuer: "entra", AuthContext: "c2", Attests: []string{"managed", "compliant", "not_jailbroken"}},
	}}
}

func mustCompile(t testing.TB, src string) *Set {
	t.Helper()
	set, err := Compile(config(src), stepUps(), everything())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func mustPolicy(t testing.TB, s *Set, name string) *decision.Policy {
	t.Helper()
	p, ok := s.Policy(name)
	if !ok {
		t.Fatalf("no policy %s", name)
	}
	return p
}

// source returns the state of a source that was read just now.
func source(confirmed time.Time) *decision.SourceState {
	s := &decision.SourceState{Name: "inventory", Authoritative: true}
	s.SetSupplies(decision.AllFacts)
	s.Confirm(confirmed)
	return s
}

// request is alice at the corp issuer with a device that the source describes
// as d, or does not have if d is nil.
func request(state *decision.SourceState, d *decision.Device, now time.Time) *decision.Request {
	key, _ := decision.CanonicalKey(decision.KindSerial, "PF3K9")
	report := decision.Report{State: state, User: &decision.UserRecord{Enabled: decision.Yes}}
	if d != nil {
		report.Verdict = &decision.Verdict{Device: *d}
	}
	return &decision.Request{
		Now: now,
		Identity: &decision.Identity{
			User: decision.User{
				Issuer: "corp", ID: "corp|alice", Subject: "alice", Name: "Alice@corp.example",
				Groups: []string{"staff", "finance"}, GroupsKnown: decision.Yes, AMR: []string{"pwd"},
				AuthTime: now.Add(-time.Hour).Unix(), Claims: map[string]any{"level": int64(7), "dept": "tax", "nested": map[string]any{"a": true}, "list": []any{"x", "y"}},
			},
			Device: decision.DeviceRef{Keys: []decision.Key{key}, Proof: decision.ProofToken},
		},
		Posture: decision.Merge([]decision.Report{report}, key),
		Method:  "GET", Host: "app.corp.example", Path: "/reports", ClientIP: netip.MustParseAddr("10.1.2.3"),
	}
}

func decide(s *Set, p *decision.Policy, q *decision.Request) *decision.Decision {
	var d decision.Decision
	s.Engine.Decide(p, q, &d)
	return &d
}

// findings prints the findings of a decision in short.
func findings(d *decision.Decision) string {
	var out []string
	for _, f := range d.Findings {
		out = append(out, f.Effect.String()+" "+f.Reason.Code())
	}
	return strings.Join(out, ", ")
}
