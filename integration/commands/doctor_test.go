package commands

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestDoctorCommand: statuses, names and forms, without any service but an issuer.
func TestDoctorCommand(t *testing.T) {
	dir := t.TempDir()
	issuer := rig.NewIssuer(t, "https://idp.corp.example")
	ca := rig.NewCA(t, "Device CA")
	cert, key := ca.Server("app.corp.example")
	var files []string
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
		return path
	}
	const rows = "serial,name,compliance\nA1,lt-one,compliant\nB2,lt-two,noncompliant\n"
	devices := write("devices.csv", rows)
	rewrite := func(content string) {
		if err := os.WriteFile(devices, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	caddyfile := func(name, more string) string {
		return write(name, fmt.Sprintf(`{
	compliance {
		issuer corp %s {
			jwks file %s
			audience intranet
			device_claim deviceid serial
		}
		source inventory devices.csv
		policy standard {
			require group staff
			require compliant
		}
		%s
	}
}

https://app.corp.example {
	tls %s %s
	compliance standard
}
`, issuer.URL, issuer.JWKS, more, cert, key))
	}
	good := caddyfile("Caddyfile", "")
	doctor := func(args ...string) result { return run(t, dir, "", append([]string{"doctor"}, args...)...) }

	doctor().expect(t, 0, "source inventory (Caddyfile:8)", "2 devices, and no bad record", "site certificates",
		"policy standard: allow", "lt-one", "0 faults, 0 warnings")
	rewrite(strings.Replace(rows, "noncompliant", "complaint", 1))
	doctor("--only", "inventory").expect(t, 2, "WARNING", "values that count as unknown: compliance 1 (unknown value, first in line 3)", "correct these words", "1 warning")
	rewrite("page")
	doctor().expect(t, 3, "FAULT    load", "source inventory (", "devices.csv: ", "FAULT    file", "header has no device id")
	rewrite(rows)
	doctor("--device", "serial=b2").expect(t, 0, "policy standard: block: noncompliant", "lt-two")
	doctor("--device", "serial:B2", "--only", "inventory").expect(t, 0, "lt-two")
	doctor("--device", "serial=C3").expect(t, 2, "WARNING", "no source has the device", "1 warning")
	if r := doctor("--only", "issuer corp"); r.status != 0 || !strings.Contains(r.out, "1 key") || strings.Contains(r.out, "inventory") {
		t.Errorf("--only: %d\n%s", r.status, r.out)
	}
	doctor("--only", "bogus").expect(t, 1, `nothing is called "bogus"`, "source inventory")
	doctor("--timeout", "0s").expect(t, 1, "--timeout is between")
	doctor("--device", "serial=").expect(t, 1, "--device")
	doctor("--config", "missing").expect(t, 1, "missing")
	doctor("extra").expect(t, 1, "unknown command")

	adapted := run(t, dir, "", "adapt", "--config", good)
	write("config.json", adapted.out)
	doctor("--config", "config.json", "--json").expect(t, 0, `"state": "ok"`, `"check": "rows"`)
	write("other.json", `{"apps":{"http":{}}}`)
	doctor("--config", "other.json").expect(t, 1, "no compliance app")
	write("odd.json", strings.Replace(adapted.out, `"policies"`, `"policys"`, 1))
	doctor("--config", "odd.json").expect(t, 1, "policys")

	// One object that is wrong does not hide the others.
	caddyfile("broken", "operator_token {env.NO_SUCH_TOKEN}\n\t\tsource httpjson mdm https://127.0.0.1:1/{id} {\n\t\t\tkinds serial\n\t\t\tbearer {env.NO_SUCH_SECRET}\n\t\t\tmap name /name\n\t\t}")
	doctor("--config", "broken").expect(t, 3, "FAULT    load", "NO_SUCH_SECRET", "source mdm", "2 devices, and no bad record", "the configuration does not load: see there")

	// A service that does not answer costs its time and no more.
	stuck := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(stuck)
	caddyfile("slow", fmt.Sprintf("source httpjson mdm %s/{id} {\n\t\t\tkinds serial\n\t\t\tmap name /name\n\t\t}", slow.URL))
	doctor("--config", "slow", "--timeout", "1s").expect(t, 3, "source mdm", "FAULT    reach", "gave no answer about the device")

	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(files) {
		t.Errorf("doctor wrote into its directory: %v, %v", entries, err)
	}
}
