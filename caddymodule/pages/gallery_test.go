package pages

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// gallery is every page that is worth looking at, by file name.
func gallery() map[string]*Page {
	now := time.Date(2026, time.March, 3, 14, 5, 0, 0, time.UTC)
	base := func(k Kind, lang string, fs ...decision.Finding) *Page {
		return &Page{
			Kind: k, Lang: lang, Findings: fs, Platform: decision.Windows, Now: now,
			DecisionID: "7f3a9c52e1b84d06", Device: "LT-MUC-0421", User: "anna.berg@corp.example",
			RetryPath: "/reports/2026", ManageURL: "https://portal.manage.example/",
			Management: decision.Management{Manager: decision.ManagerIntune},
		}
	}
	const b, w, u = decision.EffectBlock, decision.EffectWarn, decision.EffectUndecided
	many := []decision.Finding{
		{Reason: decision.NotEncrypted, Effect: b},
		{Reason: decision.OSTooOld, Effect: b, Param: "windows 10.0.22000 < 10.0.22631"},
		{Reason: decision.Noncompliant, Effect: b, Param: "Windows10CompliancePolicy.ActiveFirewallRequired, Windows10CompliancePolicy.PasswordMinimumLength, DeviceNameFormat"},
		{Reason: decision.TrustMissing, Effect: b, Param: "registered"},
		{Reason: decision.FactUnknown, Effect: decision.EffectBlockUnknown, Param: "secure_boot"},
		{Reason: decision.GracePeriod, Effect: w, Param: "2026-03-10T00:00:00Z"},
		{Reason: decision.StepUpRequired, Effect: decision.EffectStepUp, Param: "mfa"},
	}
	pages := map[string]*Page{
		"blocked-one-en":  base(Blocked, "en", decision.Finding{Reason: decision.NotEncrypted, Effect: b}),
		"blocked-many-en": base(Blocked, "en", many...),
		"blocked-many-de": base(Blocked, "de", many...),
		"blocked-user-en": base(Blocked, "en", decision.Finding{Reason: decision.GroupMissing, Effect: b, Param: "finance-users, finance-audit"}),
		"undecided-en":    base(Undecided, "en", decision.Finding{Reason: decision.SourceFailing, Effect: u, Source: "intune"}),
		"undecided-de":    base(Undecided, "de", decision.Finding{Reason: decision.LookupTimeout, Effect: u}),
		"signin-en":       base(SignIn, "en", decision.Finding{Reason: decision.SignInRequired, Effect: decision.EffectAuthenticate}),
		"signin-de":       base(SignIn, "de", decision.Finding{Reason: decision.InvalidToken, Effect: decision.EffectAuthenticate}),
		"request-405-en":  base(BadRequest, "en", decision.Finding{Reason: decision.MethodNotAllowed, Effect: b}),
		"request-421-de":  base(BadRequest, "de", decision.Finding{Reason: decision.MisdirectedRequest, Effect: b}),
	}
	configmgr := base(Blocked, "de", decision.Finding{Reason: decision.Noncompliant, Effect: b})
	configmgr.Management, configmgr.ManageURL = decision.Management{Manager: decision.ManagerConfigMgr}, ""
	partner := base(Blocked, "en", decision.Finding{Reason: decision.NotEncrypted, Effect: b})
	partner.Management, partner.Platform = decision.Management{Manager: decision.ManagerPartner, App: "Contoso Self Service"}, decision.MacOS
	pages["blocked-configmgr-de"], pages["blocked-partner-en"] = configmgr, partner
	pages["undecided-en"].RetryAfter = 30 * time.Second
	pages["undecided-en"].Unsent = true
	pages["undecided-de"].RetryAfter = 300 * time.Second
	pages["signin-en"].Accepts = Accepts{Issuers: []string{"entra", "corp"}, Certificate: true}
	pages["request-405-en"].Status = 405
	pages["request-421-de"].Status = 421
	return pages
}

func newPages(t testing.TB) *Pages {
	t.Helper()
	p, err := New(Options{SupportName: "IT Service Desk", SupportURL: "https://help.corp.example/"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func rendered(t testing.TB, p *Pages, pg *Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Render(&b, pg); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestGallery renders every page. With GATEHOUSE_PAGES_DIR set it also writes
// them there, to be looked at in a browser.
func TestGallery(t *testing.T) {
	p := newPages(t)
	dir := os.Getenv("GATEHOUSE_PAGES_DIR")
	for name, pg := range gallery() {
		html := rendered(t, p, pg)
		if len(html) > 32<<10 {
			t.Errorf("%s: %d bytes, want at most 32 KiB", name, len(html))
		}
		if dir == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(html), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
