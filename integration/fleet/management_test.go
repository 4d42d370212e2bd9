package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestManagement: who is refused for the device is told which system manages it and
// where its portal is, as the source says that knows the device, and nothing where
// nobody knows.
func TestManagement(t *testing.T) {
	t.Parallel()
	s := open(t, options{
		Sources: `
		source intune
		source entra
		source configmgr {base}/cm/AdminService {
			ca_file {ca}
			basic CORP\gatehouse {env.ADMIN_PASSWORD}
		}`,
		Policies: `
		policy secure {
			require encrypted
			require ownership corporate
			require os windows 99
		}
		policy group {
			require group nobody
		}`,
	})
	const portal = "https://portal.manage.microsoft.com/"
	type management struct{ System, App, URL, Message, Instruction string }
	ask := func(policy, device string, header ...string) *rig.Answer {
		header = append(rig.Bearer(s.token(s.device(device))), header...)
		return rig.Do(t, http.DefaultClient, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/%s/x", s.port, policy), header...)
	}
	for _, test := range []struct{ policy, device, lang, system, app, url string }{
		{"secure", emulator.CaseNoncompliant, "en", "intune", "Company Portal", portal},
		{"secure", emulator.CaseIntuneOnly, "de", "intune", "Unternehmensportal", portal},
		{"secure", emulator.CaseComanaged, "en", "intune", "Company Portal", portal},
		{"secure", emulator.CaseComanagedConfigMgr, "en", "configmgr", "Software Center", ""},
		{"secure", emulator.CaseHybridOnly, "de", "configmgr", "Softwarecenter", ""},
		{"secure", emulator.CaseJamf, "en", "partner", "", ""},
		{"secure", emulator.CaseDefenderAttach, "en", "", "", ""}, // reached by Defender, managed by nobody
		{"group", emulator.CaseNoncompliant, "en", "", "", ""},    // the device is not at fault
	} {
		a := ask(test.policy, test.device, "Accept-Language", test.lang)
		var got struct{ Management *management }
		err := json.Unmarshal([]byte(a.Body), &got)
		if a.StatusCode != http.StatusForbidden || err != nil {
			t.Errorf("%s under %s: %d %s", test.device, test.policy, a.StatusCode, a.Body)
			continue
		}
		m := got.Management
		if m == nil {
			m = &management{}
		}
		if m.System != test.system || m.App != test.app || m.URL != test.url || (m.Message == "") != (test.system == "") || (m.Instruction == "") != (test.system == "") {
			t.Errorf("%s under %s: %+v, want %s, %q, %q", test.device, test.policy, *m, test.system, test.app, test.url)
		}
	}

	browser := []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	a := ask("secure", emulator.CaseNoncompliant, browser...)
	if !strings.Contains(a.Body, `href="`+portal+`">Open Company Portal</a>`) || !strings.Contains(a.Body, "Microsoft Intune manages this device.") {
		t.Errorf("the page does not lead to Company Portal:\n%s", a.Body)
	}
	if csp := a.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || strings.Contains(csp, "unsafe") || strings.Contains(a.Body, "<script") {
		t.Errorf("policy %q", csp)
	}
	a = ask("secure", emulator.CaseHybridOnly, browser...)
	if strings.Contains(a.Body, "Company Portal") || !strings.Contains(a.Body, "Configuration Manager manages this device.") {
		t.Errorf("the page of a device of Configuration Manager:\n%s", a.Body)
	}
	s.tenant.Check(t)
}
