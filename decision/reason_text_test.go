package decision

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// checkText fails if a text could not be shown as it is.
func checkText(t *testing.T, where, s string, most int) {
	t.Helper()
	n := utf8.RuneCountInString(s)
	switch {
	case n < 5 || n > most:
		t.Errorf("%s: %d runes, want 5 to %d: %q", where, n, most, s)
	case !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError):
		t.Errorf("%s: not UTF-8: %q", where, s)
	case strings.Contains(s, "%!") || strings.Contains(s, "{0}") || strings.Contains(s, "{1}"):
		t.Errorf("%s: left a placeholder: %q", where, s)
	case strings.ContainsAny(s, "<") || strings.ContainsFunc(s, unicode.IsControl):
		t.Errorf("%s: not plain text: %q", where, s)
	case strings.TrimSpace(s) != s || strings.Contains(s, "  "):
		t.Errorf("%s: stray space: %q", where, s)
	}
}

func TestEveryReasonHasTexts(t *testing.T) {
	for _, lang := range Languages() {
		for r := NoReason + 1; r < NumReasons; r++ {
			for p := PlatformUnknown; p < NumPlatforms; p++ {
				where := lang + " " + r.Code() + " " + p.String()
				got := r.Text(lang, p)
				checkText(t, where+" message", got.Message, 200)
				checkText(t, where+" remediation", got.Remediation, 260)
				for _, s := range []string{got.Message, got.Remediation} {
					if !strings.ContainsAny(s[len(s)-1:], ".)") {
						t.Errorf("%s: not a sentence: %q", where, s)
					}
				}
			}
			if with := languageOf(lang).phrases[r].with; with != "" && !strings.Contains(with, "{0}") {
				t.Errorf("%s %s: text with a parameter has no {0}", lang, r)
			}
		}
	}
}

// Both languages must know the same parameters, settings and variants: a
// missing one would show English logic in a German page.
func TestLanguagesAgree(t *testing.T) {
	for _, lang := range Languages()[1:] {
		l := languageOf(lang)
		for r := NoReason + 1; r < NumReasons; r++ {
			if (l.phrases[r].with == "") != (english.phrases[r].with == "") {
				t.Errorf("%s %s: one language shows a parameter, the other does not", lang, r)
			}
			if l.phrases[r].message == english.phrases[r].message {
				t.Errorf("%s %s: not translated", lang, r)
			}
			for p := range l.phrases[r].fix {
				if (l.phrases[r].fix[p] == "") != (english.phrases[r].fix[p] == "") {
					t.Errorf("%s %s: steps for %s in one language only", lang, r, Platform(p))
				}
			}
			if len(l.exact[r]) != len(english.exact[r]) {
				t.Errorf("%s %s: %d exact messages, English has %d", lang, r, len(l.exact[r]), len(english.exact[r]))
			}
			for param, m := range english.exact[r] {
				checkText(t, r.Code()+" "+param, m, 200)
				checkText(t, lang+" "+r.Code()+" "+param, l.exact[r][param], 200)
			}
		}
		for tp := topicOther + 1; tp < numTopics; tp++ {
			checkText(t, "topic", english.topics[tp].message, 60)
			checkText(t, lang+" topic", l.topics[tp].message, 60)
			for p := PlatformUnknown; p < NumPlatforms; p++ {
				checkText(t, lang+" topic steps", l.topics[tp].fix.on(p), 260)
				checkText(t, "topic steps", english.topics[tp].fix.on(p), 260)
			}
		}
	}
}

// The facts, levels and states that evaluate.go can name must all have words.
func TestExactCoversTheVocabulary(t *testing.T) {
	for _, lang := range Languages() {
		l := languageOf(lang)
		for f := Fact(0); f < NumFacts; f++ {
			if l.exact[FactUnknown][f.String()] == "" {
				t.Errorf("%s: fact %s has no words", lang, f)
			}
		}
		want := map[Reason][]string{
			RiskTooHigh:     {LevelLow.String(), LevelMedium.String(), LevelHigh.String()},
			UserRiskTooHigh: {LevelLow.String(), LevelMedium.String(), LevelHigh.String()},
			DeviceRetired:   {LifecycleRetiring.String(), LifecycleWiping.String(), LifecycleRevoked.String()},
			TrustMissing:    {TrustJoined.String(), TrustHybridJoined.String(), TrustRegistered.String(), TrustNone.String()},
			Noncompliant:    {ComplianceConflict.String(), ComplianceError.String()},
			ProofTooWeak:    {ProofAttested.String(), ProofToken.String(), ProofBoundToken.String(), ProofForwardedCertificate.String()},
			Revoked:         {"device", "user", "certificate", "session"},
			FactUnknown:     {ComplianceNotEvaluated.String(), ComplianceDelegated.String()},
		}
		for r, params := range want {
			for _, p := range params {
				if l.exact[r][p] == "" {
					t.Errorf("%s: %s %q has no words", lang, r, p)
				}
			}
		}
	}
}

func TestFindingText(t *testing.T) {
	tests := []struct {
		name   string
		reason Reason
		param  string
		lang   string
		want   string // part of the message
	}{
		{"windows release", OSTooOld, "windows 10.0.22000 < 10.0.22631", "en", "Windows 11 21H2 (10.0.22000) is too old. At least Windows 11 23H2 (10.0.22631) is needed."},
		{"windows build with revision", OSTooOld, "windows 10.0.19045.1 < 10.0.26100", "de", "Windows 10 22H2 (10.0.19045.1) ist zu alt. Nötig ist mindestens Windows 11 24H2 (10.0.26100)."},
		{"unknown windows build", OSTooOld, "windows 10.0.1 < 10.0.22631", "en", "Windows 10.0.1 is too old."},
		{"macos", OSTooOld, "macos 13.6 < 14.5", "en", "macOS 13.6 is too old. At least macOS 14.5 is needed."},
		{"unreadable versions", OSTooOld, "<b> < 3", "en", "The operating system of this device is too old."},
		{"platform", OSNotAllowed, "linux", "en", "Linux devices may not be used here."},
		{"platform de", OSNotAllowed, "ios", "de", "Geräte mit iOS dürfen hier nicht benutzt werden."},
		{"unknown platform", OSNotAllowed, "plan9", "en", "This kind of device may not be used here."},
		{"grace", GracePeriod, "2026-03-10T14:05:00Z", "en", "until 10 March 2026, 14:05 UTC."},
		{"grace in another zone", GracePeriod, "2026-03-10T14:05:00+02:00", "en", "until 10 March 2026, 12:05 UTC."},
		{"grace de", GraceExpired, "2026-03-10T14:05:00Z", "de", "endete am 10. März 2026, 14:05 Uhr UTC."},
		{"grace without a date", GracePeriod, "", "en", "for a short time."},
		{"bad date", CheckInTooOld, "yesterday", "en", "for too long."},
		{"check-in", CheckInTooOld, "2026-12-24T00:00:00Z", "de", "zuletzt am 24. Dezember 2026, 00:00 Uhr UTC"},
		{"risk", RiskTooHigh, "high", "en", "Its risk level is high"},
		{"risk de", RiskTooHigh, "medium", "de", "Das Risiko ist mittel"},
		{"risk from nowhere", RiskTooHigh, "{0}", "en", "A threat was found on this device."},
		{"groups", GroupMissing, "finance, audit", "en", "Any of these is enough: finance, audit."},
		{"client", ClientNotAllowed, "9b1c", "de", "Die App 9b1c darf"},
		{"settings", Noncompliant, "Windows10CompliancePolicy.StorageRequireEncryption, DeviceNameFormat", "en", "Settings to fix: Encryption, Device name format."},
		{"settings de", Noncompliant, "BitLocker, FirewallEnabled, SecureBootEnabled", "de", "Zu beheben: Verschlüsselung, Firewall, Schutz beim Start."},
		{"conflict", Noncompliant, "conflict", "en", "contradict each other"},
		{"policy author", ExpressionFailed, "Only company-owned devices reach finance.", "de", "Only company-owned devices reach finance."},
		{"fact", FactUnknown, "encrypted", "en", "whether this device is encrypted"},
		{"fact of an expression", FactUnknown, "Secure boot must be on.", "en", "this rule is met: Secure boot must be on."},
		{"revoked", Revoked, "session", "de", "Ihre Sitzung wurde beendet."},
		{"unused parameter", StepUpRequired, "mfa", "en", "A stronger sign-in is needed here."},
		{"unknown language", NotEncrypted, "", "tlh", "not encrypted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := Finding{Reason: tt.reason, Param: tt.param}
			got := f.Text(tt.lang, Windows)
			if !strings.Contains(got.Message, tt.want) {
				t.Errorf("message %q, want it to contain %q", got.Message, tt.want)
			}
			if got.Remediation != tt.reason.Text(tt.lang, Windows).Remediation {
				t.Errorf("remediation %q is not the reason's", got.Remediation)
			}
		})
	}
}

// Placeholders and markup in a parameter stay what they are: text.
func TestParameterIsInsertedOnce(t *testing.T) {
	f := Finding{Reason: ExpressionFailed, Param: "{0}{1}{env.HOME} <script>\u202egnp.exe\x00\n%s"}
	const want = "{0}{1}{env.HOME} <script>gnp.exe %s"
	if got := f.Text("en", Windows).Message; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

func TestStepsDependOnPlatform(t *testing.T) {
	tests := []struct {
		reason Reason
		on     Platform
		want   string
	}{
		{NotEncrypted, Windows, "BitLocker"},
		{NotEncrypted, MacOS, "FileVault"},
		{NotEncrypted, IOS, "passcode"},
		{NotEncrypted, Android, "screen lock"},
		{NotEncrypted, Linux, "LUKS"},
		{NotEncrypted, NumPlatforms, "disk encryption"},
		{OSTooOld, ChromeOS, "ChromeOS"},
		{CheckInTooOld, Windows, "Company Portal"},
		{DeviceUnknown, IOS, "App Store"},
	}
	for _, tt := range tests {
		if got := tt.reason.Text("en", tt.on).Remediation; !strings.Contains(got, tt.want) {
			t.Errorf("%s on %s: %q, want it to contain %q", tt.reason, tt.on, got, tt.want)
		}
	}
}

func TestSettings(t *testing.T) {
	f := Finding{Reason: Noncompliant, Param: "Windows10CompliancePolicy.BitLockerEnabled, Windows10CompliancePolicy.StorageRequireEncryption, passwordRequired, iosCustom.maxApps, , A B"}
	got := f.Settings("en", MacOS)
	want := []string{"Encryption", "Password or PIN", "Max apps", "A B"}
	if len(got) != len(want) {
		t.Fatalf("settings %v, want %v", got, want)
	}
	for i := range want {
		if got[i].Message != want[i] {
			t.Errorf("setting %d: %q, want %q", i, got[i].Message, want[i])
		}
	}
	if !strings.Contains(got[0].Remediation, "FileVault") || got[2].Remediation != "" {
		t.Errorf("steps %q and %q, want FileVault and none", got[0].Remediation, got[2].Remediation)
	}
	for _, f := range []Finding{{Reason: NotEncrypted, Param: "x"}, {Reason: Noncompliant}, {Reason: Noncompliant, Param: "error"}} {
		if got := f.Settings("en", MacOS); got != nil {
			t.Errorf("%s %q: settings %v, want none", f.Reason, f.Param, got)
		}
	}
}

func TestSettingsAreBounded(t *testing.T) {
	var names []string
	for i := range 100 {
		names = append(names, strings.Repeat("x", 40)+string(rune('a'+i%26))+strings.Repeat("y", i/26))
	}
	f := Finding{Reason: Noncompliant, Param: strings.Join(names, ", ")}
	if got := len(f.Settings("en", Windows)); got != MaxSettings {
		t.Errorf("%d settings, want %d", got, MaxSettings)
	}
	m := f.Text("en", Windows).Message
	if !strings.HasSuffix(m, " more.") || len(m) > 400 {
		t.Errorf("message of %d bytes ends %q, want a count of what is left out", len(m), m[max(0, len(m)-20):])
	}
}

func TestDisplayText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "LT-0421", "LT-0421"},
		{"umlauts", "Büro Größe", "Büro Größe"},
		{"white space", "  a\r\n\tb\u2028c\u00a0 ", "a b c"},
		{"control characters", "a\x00b\x1b[31mc\x7f", "a b [31mc"},
		{"direction override", "a\u202egpj.exe\u2066", "agpj.exe"},
		{"zero width", "a\u200bb\ufeff", "ab"},
		{"private use", "a\ue000b", "ab"},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
		{"combining marks", "e" + strings.Repeat("\u0301", 50), "e" + strings.Repeat("\u0301", 3)},
		{"braces stay", "{env.HOME} {{.}}", "{env.HOME} {{.}}"},
		{"only controls", "\x00\x01", ""},
	}
	for _, tt := range tests {
		if got := DisplayText(tt.in); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := DisplayText(strings.Repeat("ü ", 5000)); utf8.RuneCountInString(got) != 256 || !strings.HasSuffix(got, "\u2026") {
		t.Errorf("long text: %d runes ending %q, want 256 ending with an ellipsis", utf8.RuneCountInString(got), got[len(got)-3:])
	}
}

func TestReasonTextOutsideCatalogue(t *testing.T) {
	for _, r := range []Reason{NoReason, NumReasons, 255} {
		if got := r.Text("en", Windows); got != (Text{}) {
			t.Errorf("reason %d: %v, want nothing", r, got)
		}
		f := Finding{Reason: r, Param: "x"}
		if got := f.Text("en", Windows); got != (Text{}) {
			t.Errorf("finding %d: %v, want nothing", r, got)
		}
	}
}

func TestDateText(t *testing.T) {
	at := time.Date(2026, time.January, 1, 0, 30, 0, 0, time.FixedZone("", 3600))
	for lang, want := range map[string]string{"en": "31 December 2025, 23:30 UTC", "de": "31. Dezember 2025, 23:30 Uhr UTC", "": "31 December 2025, 23:30 UTC"} {
		if got := DateText(lang, at); got != want {
			t.Errorf("%q: %q, want %q", lang, got, want)
		}
	}
}

// FuzzFindingText feeds what a management authority may send: the result stays
// one bounded line of valid text.
func FuzzFindingText(f *testing.F) {
	for _, s := range []string{"windows 10.0.1 < 10.0.2", "2026-03-10T14:05:00Z", "a, b, c", "{0}", "\u202e\x00\xff", "Policy.X, Policy.", strings.Repeat("x, ", 99)} {
		f.Add(uint8(Noncompliant), s)
		f.Add(uint8(OSTooOld), s)
		f.Add(uint8(ExpressionFailed), s)
		f.Add(uint8(GracePeriod), s)
	}
	f.Fuzz(func(t *testing.T, r uint8, param string) {
		fi := Finding{Reason: Reason(r), Param: param}
		for _, lang := range Languages() {
			all := append(fi.Settings(lang, Windows), fi.Text(lang, Windows))
			for _, tx := range all {
				for _, s := range []string{tx.Message, tx.Remediation} {
					if n := utf8.RuneCountInString(s); n > 700 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
						t.Errorf("%s %q: %d runes: %q", fi.Reason, param, n, s)
					}
				}
			}
		}
	})
}
