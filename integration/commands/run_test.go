package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// result is what a command did.
type result struct {
	status      int
	out, errors string
}

// run runs the binary in dir with a home of its own.
func run(t *testing.T, dir, stdin string, args ...string) result {
	t.Helper()
	return execute(t, dir, stdin, rig.Binary(t), args...)
}

func execute(t *testing.T, dir, stdin, name string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	home := t.TempDir()
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "USER=tester")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("%s %s: %v", name, args, err)
	}
	if left, _ := filepath.Glob(filepath.Join(home, "gatehouse-*")); len(left) > 0 {
		t.Errorf("%s leaves %q behind", args, left)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// expect checks status and what the output, or with a status of 1 the error,
// must contain.
func (r result) expect(t *testing.T, status int, contains ...string) {
	t.Helper()
	text := r.out
	if status == 1 {
		text += r.errors
	}
	if r.status != status {
		t.Errorf("exit status %d, want %d\n%s%s", r.status, status, r.out, r.errors)
	}
	for _, want := range contains {
		if !strings.Contains(text, want) {
			t.Errorf("output lacks %q:\n%s%s", want, r.out, r.errors)
		}
	}
}

// Ids of the devices that the tests speak of.
const (
	goodID = "11111111-1111-4111-8111-111111111111"
	badID  = "22222222-2222-4222-8222-222222222222"
)

const operatorToken = "operator-token-of-the-tests"

// stand is a running gateway with two devices and as many others as a test asks
// for.
type stand struct {
	*rig.Gateway
	inventory string
	port      int
	token     string
}

func writeDevices(t *testing.T, path, others string, count int) {
	t.Helper()
	row := func(id, name, compliance string, encrypted bool) map[string]any {
		return map[string]any{
			"ids": map[string]any{"entra": id}, "name": name, "platform": "windows", "os_version": "10.0.22631.4460",
			"compliance": compliance, "encrypted": encrypted, "risk": "low",
		}
	}
	rows := []map[string]any{row(goodID, "LAPTOP-GOOD", "compliant", true), row(badID, "LAPTOP-BAD\u0007", "noncompliant", false)}
	for i := range count {
		rows = append(rows, row(fmt.Sprintf("%08d-aaaa-4aaa-8aaa-aaaaaaaaaaaa", i), fmt.Sprint("OTHER-", i), others, true))
	}
	raw, err := json.Marshal(map[string]any{"version": 1, "devices": rows})
	if err == nil {
		err = os.WriteFile(path+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func newStand(t *testing.T, others int) *stand {
	t.Helper()
	dir := t.TempDir()
	up, is := rig.NewUpstream(t), rig.NewIssuer(t, "https://idp.corp.example")
	s := &stand{inventory: filepath.Join(dir, "devices.json"), port: rig.FreePort(t)}
	writeDevices(t, s.inventory, "noncompliant", others)
	s.token = is.Token(rig.Claims{"deviceid": badID})
	s.Gateway = rig.Start(t, rig.Setup{
		Env: []string{"GATEHOUSE_OPERATOR=" + operatorToken},
		Compliance: fmt.Sprintf(`
		issuer corp %s {
			jwks file %s
			audience intranet
			device_claim deviceid entra
			groups_claim groups
		}
		source inventory %s {
			check_interval 100ms
		}
		operator_token {env.GATEHOUSE_OPERATOR}
		policy standard {
			require user
			require compliant
			require encrypted
		}
		policy finance {
			extends standard
			require group finance
		}`, is.URL, is.JWKS, s.inventory),
		Sites: fmt.Sprintf(`http://127.0.0.1:%d {
	bind 127.0.0.1
	compliance standard
	reverse_proxy %s
}`, s.port, up.Addr()),
		Global: "auto_https off",
	})
	return s
}

// address are the flags that name the running gateway.
func (s *stand) address() []string {
	return []string{"--address", strings.TrimPrefix(s.Admin, "http://")}
}

func (s *stand) config() string { return filepath.Join(s.Dir, "Caddyfile") }

// refused makes a request that is blocked and returns its decision id.
func (s *stand) refused(t *testing.T) string {
	t.Helper()
	c := rig.NewClient(t, rig.ClientOptions{Protocol: "h1", Port: s.port})
	a := rig.Do(t, c, "GET", fmt.Sprintf("http://127.0.0.1:%d/page", s.port), rig.Bearer(s.token)...)
	if a.StatusCode != 403 {
		t.Fatalf("status %d, want 403: %s", a.StatusCode, a.Body)
	}
	return a.Problem(t).DecisionID
}
