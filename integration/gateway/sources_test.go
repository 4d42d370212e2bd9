package gateway

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// code asks for a page of the plain site with a device's token.
func (s *stand) code(deviceID string) int {
	s.t.Helper()
	return rig.Do(s.t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(deviceID, nil))...).StatusCode
}

// sourceStatus is what tests read of GET /compliance/status.
type sourceStatus struct {
	Name      string    `json:"name"`
	State     string    `json:"state"`
	Devices   int       `json:"devices"`
	LastError string    `json:"last_error"`
	LastSync  time.Time `json:"last_sync"`
	Held      *struct {
		ID       string `json:"id"`
		Why      string `json:"why"`
		GoodNews int    `json:"good_news"`
	} `json:"held"`
	Bad      int `json:"bad"`
	Kept     int `json:"kept"`
	Gone     int `json:"gone"`
	Counters struct {
		Skipped []skippedValue `json:"skipped"`
		Own     struct {
			Skipped []struct {
				First string `json:"first"`
			} `json:"skipped"`
		} `json:"own"`
	} `json:"counters"`
}

type skippedValue struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

func (s *stand) source() sourceStatus {
	s.t.Helper()
	var st struct {
		Sources []sourceStatus `json:"sources"`
	}
	if code := s.Gateway.Call(http.MethodGet, "/compliance/status", nil, &st); code != http.StatusOK || len(st.Sources) == 0 {
		s.t.Fatalf("status: %d with %d sources", code, len(st.Sources))
	}
	return st.Sources[0]
}

// TestF6InventoryFlip: a changed file changes decisions both ways, without a
// reload.
func TestF6InventoryFlip(t *testing.T) {
	s := newStand(t, standOptions{})
	rows := devices()
	for _, step := range []struct {
		compliance string
		want       int
	}{{"compliant", 200}, {"noncompliant", 403}, {"compliant", 200}, {"error", 403}, {"quantum", 403}, {"", 403}, {"compliant", 200}} {
		rows[0]["compliance"] = step.compliance
		writeInventory(t, s.Inventory, rows)
		rig.Eventually(t, time.Minute, fmt.Sprintf("%q gives %d", step.compliance, step.want), func() bool {
			return s.code(goodID) == step.want
		})
		if got := s.code(badID); got != http.StatusForbidden {
			t.Errorf("the other device: status %d", got)
		}
	}
	writeInventory(t, s.Inventory, rows[1:])
	rig.Eventually(t, time.Minute, "a device that is gone is unknown", func() bool { return s.code(goodID) == http.StatusForbidden })
}

// TestBadNewsOutlivesSilence: a device that was being wiped is refused while the file
// says something that nobody can read, and not only while it says that. What its owner
// leaves empty counts. Operators see on how many devices bad news is kept.
func TestBadNewsOutlivesSilence(t *testing.T) {
	s := newStand(t, standOptions{})
	rows := devices()
	for _, step := range []struct {
		lifecycle  string
		code, kept int
	}{{"active", 200, 0}, {"wiping", 403, 0}, {"obliterating", 403, 1}, {"active", 200, 0}, {"wiping", 403, 0}, {"", 200, 0}} {
		rows[0]["lifecycle"] = step.lifecycle
		writeInventory(t, s.Inventory, rows)
		rig.Eventually(t, time.Minute, fmt.Sprintf("%q gives %d with %d kept", step.lifecycle, step.code, step.kept), func() bool {
			return s.source().Kept == step.kept && s.code(goodID) == step.code
		})
	}
}

// fleet is n devices, the first bad ones of them not compliant.
func fleet(n, bad int) []row {
	var rows []row
	for i := range n {
		compliance := "compliant"
		if i < bad {
			compliance = "noncompliant"
		}
		rows = append(rows, device(fleetID(i), fmt.Sprintf("PC-%d", i), compliance, nil))
	}
	return rows
}

func fleetID(i int) string { return fmt.Sprintf("%08x-1111-4111-8111-111111111111", i+1) }

// TestF8BrokenFile: whatever becomes of the file, the last good one stays, and
// the trouble is visible.
func TestF8BrokenFile(t *testing.T) {
	s := newStand(t, standOptions{Rows: fleet(100, 10)})
	good, err := os.ReadFile(s.Inventory)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(content string) {
		t.Helper()
		err := os.WriteFile(s.Inventory+".new", []byte(content), 0o600)
		if err == nil {
			err = os.Rename(s.Inventory+".new", s.Inventory)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(name string) {
		t.Helper()
		rig.Eventually(t, time.Minute, name+" is reported", func() bool { return s.source().LastError != "" })
		if good, bad := s.code(fleetID(50)), s.code(fleetID(5)); good != 200 || bad != 403 {
			t.Errorf("%s: %d for a good device, %d for a bad one", name, good, bad)
		}
		if n := s.source().Devices; n != 100 {
			t.Errorf("%s: %d devices", name, n)
		}
	}
	for _, tc := range []struct{ name, content string }{
		{"truncated", string(good[:len(good)/2])},
		{"empty", ""},
		{"no devices", `{"version":1,"devices":[]}`},
		{"another format", "<html>sorry</html>"},
		{"wrong version", `{"version":99,"devices":[]}`},
		{"null", "null"},
		{"nulls", `{"version":1,"devices":[` + strings.Repeat("null,", 99) + `null]}`},
		{"null fields", `{"version":1,"devices":[{"ids":null,"name":null,"compliance":null}]}`},
		{"deep", strings.Repeat("[", 100_000)},
		{"trailing data", string(good) + "{}"},
	} {
		replace(tc.content)
		check(tc.name)
		replace(string(good))
		rig.Eventually(t, time.Minute, "recovery after "+tc.name, func() bool { return s.source().LastError == "" })
	}
	if err := os.Remove(s.Inventory); err != nil {
		t.Fatal(err)
	}
	check("absent")
	if err := os.Mkdir(s.Inventory, 0o700); err != nil {
		t.Fatal(err)
	}
	check("a directory")
}

// TestF8MassFlip: too much good news at once waits for an operator.
func TestF8MassFlip(t *testing.T) {
	const operator = "an-operator-token-of-length"
	s := newStand(t, standOptions{Rows: fleet(100, 60), Compliance: "operator_token {env.OPERATOR}", Env: []string{"OPERATOR=" + operator}})
	if got := s.code(fleetID(5)); got != http.StatusForbidden {
		t.Fatalf("status %d before", got)
	}
	writeInventory(t, s.Inventory, fleet(100, 0))
	rig.Eventually(t, time.Minute, "the change is held", func() bool { return s.source().Held != nil })
	held := s.source().Held
	if held.GoodNews != 60 || !strings.Contains(held.Why, "60 of 100") {
		t.Errorf("held %+v", held)
	}
	if bad, good := s.code(fleetID(5)), s.code(fleetID(70)); bad != 403 || good != 200 {
		t.Errorf("while held: %d for a device that would become good, %d for a good one", bad, good)
	}
	path, body := "/compliance/sources/inventory/accept", map[string]string{"id": held.ID, "owner": "ops"}
	for name, header := range map[string][]string{
		"no token": nil, "wrong token": {"Authorization", "Bearer wrong-token-of-some-length"}, "wrong scheme": {"Authorization", operator},
		"empty": {"Authorization", "Bearer "},
	} {
		if code := s.Gateway.Call(http.MethodPost, path, body, nil, header...); code != http.StatusForbidden {
			t.Errorf("%s: accept answers %d, want 403", name, code)
		}
	}
	if code := s.Gateway.Call(http.MethodPost, path, map[string]string{"id": "other"}, nil, "Authorization", "Bearer "+operator); code != http.StatusConflict {
		t.Errorf("another change: accept answers %d, want 409", code)
	}
	if got := s.code(fleetID(5)); got != http.StatusForbidden {
		t.Fatalf("status %d after refused accepts", got)
	}
	if code := s.Gateway.Call(http.MethodPost, path, body, nil, "Authorization", "Bearer "+operator); code != http.StatusOK {
		t.Fatalf("accept answers %d", code)
	}
	rig.Eventually(t, time.Minute, "accepted", func() bool { return s.code(fleetID(5)) == http.StatusOK })
	if s.source().Held != nil {
		t.Error("still held")
	}
	if !strings.Contains(s.Gateway.Log(), `"owner":"ops"`) {
		t.Error("the log does not name who accepted")
	}
}

// TestF10UnknownDevices: made-up devices cost nothing that lasts.
func TestF10UnknownDevices(t *testing.T) {
	s := newStand(t, standOptions{Compliance: "cache {\ntokens 200\n}"})
	c := s.plain()
	for i := range 1000 {
		a := rig.Do(t, c, http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(fleetID(i), nil))...)
		if a.StatusCode != http.StatusForbidden {
			t.Fatalf("status %d", a.StatusCode)
		}
	}
	if n, ok := s.Gateway.Metric(`gatehouse_cache_entries{cache="identities"}`); !ok || n > 256 {
		t.Errorf("%v identities are remembered, want at most 200 or so", n)
	}
	if s.code(goodID) != http.StatusOK || s.source().Devices != len(devices()) {
		t.Error("known devices suffered")
	}
}

// TestWarmStart: after a crash, with the file broken, decisions go on from the
// last good one.
func TestWarmStart(t *testing.T) {
	for name, breakFile := range map[string]func(path string) error{
		"broken":    func(path string) error { return os.WriteFile(path, []byte(`{"version":1,"dev`), 0o600) },
		"directory": func(path string) error { _ = os.Remove(path); return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, standOptions{})
			snapshot := s.Gateway.Dir + "/state/source-inventory.snapshot"
			rig.Eventually(t, time.Minute, "the snapshot is written", func() bool { _, err := os.Stat(snapshot); return err == nil })
			s.Gateway.Kill()
			if err := breakFile(s.Inventory); err != nil {
				t.Fatal(err)
			}
			s.setup.Dir = s.Gateway.Dir
			s.Gateway = rig.Start(t, s.setup)
			if good, bad := s.code(goodID), s.code(badID); good != 200 || bad != 403 {
				t.Errorf("after the start: %d for a good device, %d for a bad one", good, bad)
			}
			if s.source().LastError == "" {
				t.Error("the broken file is not reported")
			}
			s.Gateway.Kill()
			// One flipped byte: the snapshot is refused, and nothing is left to start from.
			raw, err := os.ReadFile(snapshot)
			if err != nil {
				t.Fatal(err)
			}
			raw[len(raw)/2] ^= 1
			if err := os.WriteFile(snapshot, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, s, `: not loaded: inventory file`)
		})
	}
}

// refused checks that the gateway does not start, and that its message names the
// source, the place of the source in the Caddyfile, the file and what is wrong.
func refused(t *testing.T, s *stand, why string) {
	t.Helper()
	_, err := rig.TryStart(t, s.setup)
	want := regexp.MustCompile(`source inventory \([^ )]*Caddyfile:[0-9]+\): ` + regexp.QuoteMeta(s.Inventory) + `: .*` + regexp.QuoteMeta(why) + `.*; correct the file or its path`)
	if err == nil || !want.MatchString(err.Error()) {
		t.Fatalf("the start ends with %v, want a message like %s", err, want)
	}
}

// TestBrokenFileAtLoad: without a snapshot a file that nothing can be taken from
// stops a start. At a reload it stops that, and the old configuration goes on.
func TestBrokenFileAtLoad(t *testing.T) {
	s := prepareStand(t, standOptions{})
	good, err := os.ReadFile(s.Inventory)
	if err != nil {
		t.Fatal(err)
	}
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(s.Inventory, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(good[:len(good)/2]))
	refused(t, s, "cut off")
	write(`{"version":1,"devices":[1,2,3,4,5,6]}`)
	refused(t, s, "sweep rejected: 6 of 6 records are bad")
	write(string(good))
	s.Gateway = rig.Start(t, s.setup)

	other := filepath.Join(filepath.Dir(s.Inventory), "other.csv")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	s.configure(standOptions{Compliance: "source inventory " + other + " {\nname other\n}"})
	if err := s.Gateway.Reload(s.setup); err == nil || !strings.Contains(err.Error(), other+": source other: not loaded: inventory file is a directory") {
		t.Errorf("reload: %v", err)
	}
	if n := s.code(goodID); n != http.StatusOK {
		t.Errorf("status %d after the refused reload", n)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(); err != nil {
		t.Errorf("reload with a good file: %v", err)
	}
	// A file that breaks later does not stand in the way of a reload.
	write("nonsense")
	rig.Eventually(t, time.Minute, "the broken file is reported", func() bool { return s.source().LastError != "" })
	if err := s.reload(); err != nil {
		t.Errorf("reload with a file that broke: %v", err)
	}
	if n := s.code(goodID); n != http.StatusOK {
		t.Errorf("status %d after the file broke", n)
	}
}

// TestSourceThatWasNeverRead: while a service was never read, what only it knows is
// undecided, and the gateway not ready.
func TestSourceThatWasNeverRead(t *testing.T) {
	s := newStand(t, standOptions{
		Policies:   "policy standard {\nrequire user\nrequire not malware\n}",
		Directives: "compliance standard",
		Compliance: fmt.Sprintf("source httpjson sensor {\nlist http://127.0.0.1:%d/devices\nmap entra_id /id\nmap malware /infected\n}", rig.FreePort(t)),
	})
	a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(goodID, nil))...)
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
	if a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/.gatehouse/ready")); a.StatusCode != http.StatusServiceUnavailable || a.Body != "" {
		t.Errorf("ready answers %d %q", a.StatusCode, a.Body)
	}
	g := rig.DoBody(t, s.client("h2", ""), http.MethodPost, s.url("/x"), "x", append(rig.Bearer(s.token(goodID, nil)), "Content-Type", "application/grpc")...)
	if g.Header.Get("Grpc-Status") != "14" {
		t.Errorf("grpc-status %q, want 14", g.Header.Get("Grpc-Status"))
	}
}

// TestUnlistedWords: a word that nobody knows is unknown and refused, is no bad row,
// and is counted until the file is mended.
func TestUnlistedWords(t *testing.T) {
	s := newStand(t, standOptions{})
	const metric = `gatehouse_source_skipped_values{field="compliance",reason="unknown value",source="inventory"}`
	rows := devices()
	rows[0]["compliance"] = "complaint"
	writeInventory(t, s.Inventory, rows)
	rig.Eventually(t, time.Minute, "the word is counted", func() bool { n, ok := s.Gateway.Metric(metric); return ok && n == 1 })
	if got := s.code(goodID); got != http.StatusForbidden {
		t.Errorf("status %d for the device", got)
	}
	if st := s.source(); st.State != "ok" || st.Bad != 0 || st.Devices != len(rows) || len(st.Counters.Skipped) != 1 ||
		st.Counters.Skipped[0] != (skippedValue{"compliance", "unknown value", 1}) || len(st.Counters.Own.Skipped) != 1 || st.Counters.Own.Skipped[0].First == "" {
		t.Errorf("status %+v", st)
	}
	if want := `"inventory file has values that count as unknown","source":"inventory","values":"compliance 1 (unknown value, first in device `; !strings.Contains(s.Gateway.Log(), want) {
		t.Errorf("the log does not say %s", want)
	}
	rows[0]["compliance"] = "compliant"
	writeInventory(t, s.Inventory, rows)
	rig.Eventually(t, time.Minute, "nothing is counted any more", func() bool {
		_, ok := s.Gateway.Metric(metric)
		return !ok && len(s.source().Counters.Skipped) == 0
	})
	if got := s.code(goodID); got != http.StatusOK {
		t.Errorf("status %d after the file was mended", got)
	}
}
