package replay

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// question is a vector as the explain call and command take it.
func (s *stage) question(t testing.TB, e *entry, policy string) map[string]any {
	t.Helper()
	q := map[string]any{"policy": policy, "method": e.Method, "host": e.Host(), "path": e.Path, "client_ip": e.ClientIP}
	if d := e.Device; d != nil {
		keys := map[string]string{decision.KindEntra: e.DeviceID()}
		if d.Serial != "" {
			keys[decision.KindSerial] = d.Serial
		}
		q["device"] = map[string]any{"keys": keys, "proof": d.Proof}
	}
	if e.User == nil {
		return q
	}
	u := e.User
	who := map[string]any{
		"issuer": u.Issuer, "name": u.Name, "app_only": u.AppOnly, "client": u.Client,
		"acr": u.ACR, "acrs": u.ACRs, "amr": u.AMR, "cp1": u.CP1, "object_id": e.ObjectID(),
		"groups_overage": u.GroupsOverage, "no_groups": u.Groups == nil && !u.GroupsOverage,
	}
	if u.Groups != nil {
		who["groups"] = *u.Groups
	}
	claims := e.Claims(s.now)
	if claims != nil {
		who["claims"] = claims
	}
	if at, ok := claims["auth_time"].(int64); ok {
		who["signed_in"] = time.Unix(at, 0).UTC().Format(time.RFC3339)
	}
	q["user"] = who
	return q
}

// explanation is what both ways of explaining answer.
type explanation struct {
	Policy   string `json:"policy"`
	Mode     string `json:"mode"`
	Enforced string `json:"enforced"`
	Outcome  string `json:"outcome"`
	StepUp   string `json:"step_up"`
	Reasons  []struct {
		Code   string `json:"code"`
		Effect string `json:"effect"`
	} `json:"reasons"`
	Error string `json:"error"`
}

func (x *explanation) answer() answer {
	a := answer{outcome: x.Outcome, stepUp: x.StepUp}
	for _, r := range x.Reasons {
		if r.Effect == "warn" {
			a.warnings = append(a.warnings, r.Code)
		} else {
			a.reasons = append(a.reasons, r.Code)
		}
	}
	return a
}

// compareExplained checks one explanation. A policy on trial is explained as
// such; again then explains what is enforced instead.
func (e *entry) compareExplained(t *testing.T, what string, x *explanation, again func(policy string) *explanation) {
	t.Helper()
	if x.Error != "" {
		t.Errorf("%s:%d: %q: %s: %s", e.File, e.Line, e.Name, what, x.Error)
		return
	}
	if e.Trial == nil {
		if x.Mode != "enforce" {
			t.Errorf("%s:%d: %q: %s: mode %q", e.File, e.Line, e.Name, what, x.Mode)
		}
		e.compare(t, what, x.answer(), e.want())
		return
	}
	if x.Mode != "report_only" {
		t.Errorf("%s:%d: %q: %s: mode %q, want report_only", e.File, e.Line, e.Name, what, x.Mode)
	}
	got := x.answer()
	got.stepUp = "" // the vectors do not name a trial's
	e.compare(t, what+" of the trial", got, e.wantTrial())
	if x.Enforced == "" {
		e.compare(t, what+" without enforcement", answer{outcome: "allow"}, e.want())
		return
	}
	e.compare(t, what+" of what is enforced", again(x.Enforced).answer(), e.want())
}

// replayExplain asks the running gateway.
func (s *stage) replayExplain(t *testing.T) {
	for i := range s.entries {
		e := &s.entries[i]
		ask := func(policy string) *explanation {
			x := &explanation{}
			if status := s.gateway.Call("POST", "/compliance/explain", s.question(t, e, policy), x); status != http.StatusOK {
				t.Fatalf("%s:%d: %q: explain answers %d", e.File, e.Line, e.Name, status)
			}
			return x
		}
		e.compareExplained(t, "explain", ask(e.policy), ask)
	}
}

// replayOffline asks the command, with the running gateway's configuration. It
// cannot know revocations, which live in the gateway's state.
func (s *stage) replayOffline(t *testing.T) {
	var asked []*entry
	var questions []map[string]any
	for i := range s.entries {
		if e := &s.entries[i]; e.Revoked == "" {
			asked = append(asked, e)
			questions = append(questions, s.question(t, e, e.policy))
		}
	}
	answers := s.batch(t, questions)
	enforced := map[string]*explanation{}
	var again []map[string]any
	var names []string
	for i, x := range answers {
		if x.Enforced != "" {
			again = append(again, s.question(t, asked[i], x.Enforced))
			names = append(names, asked[i].Host())
		}
	}
	if len(again) > 0 {
		for i, x := range s.batch(t, again) {
			enforced[names[i]] = x
		}
	}
	for i, x := range answers {
		e := asked[i]
		e.compareExplained(t, "explain offline", x, func(string) *explanation { return enforced[e.Host()] })
	}
}

// batch runs `gatehouse explain --batch`.
func (s *stage) batch(t *testing.T, questions []map[string]any) []*explanation {
	t.Helper()
	text, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "questions.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), rig.Binary(t), "explain", "--config", filepath.Join(s.gateway.Dir, "Caddyfile"),
		"--adapter", "caddyfile", "--batch", file, "--json")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("explain --batch: %v\n%s%.2000s", err, errs.String(), out.String())
	}
	var answers []*explanation
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil {
		t.Fatalf("explain --batch: %v\n%.2000s", err, out.String())
	}
	if len(answers) != len(questions) {
		t.Fatalf("explain --batch: %d answers to %d questions", len(answers), len(questions))
	}
	return answers
}
