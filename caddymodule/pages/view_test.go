package pages

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// outline is what a page says, by section.
func outline(v *View) []string {
	var out []string
	for _, s := range v.Sections {
		for _, it := range s.Items {
			out = append(out, s.ID+" "+it.Code)
		}
	}
	return out
}

func finding(r decision.Reason, e decision.Effect) decision.Finding {
	return decision.Finding{Reason: r, Effect: e}
}

func TestViewSections(t *testing.T) {
	const (
		warn, stepUp, undecided = decision.EffectWarn, decision.EffectStepUp, decision.EffectUndecided
		block, auth             = decision.EffectBlock, decision.EffectAuthenticate
	)
	tests := []struct {
		name     string
		kind     Kind
		findings []decision.Finding
		title    string
		lead     string
		want     []string
		codes    string
	}{
		{
			"who fixes what", Blocked,
			[]decision.Finding{
				finding(decision.DeviceDisabled, block), finding(decision.NotEncrypted, block),
				finding(decision.GracePeriod, warn), finding(decision.SourceFailing, undecided),
				finding(decision.FactUnknown, decision.EffectBlockUnknown),
			},
			"This device needs attention", "because 3 checks",
			[]string{"you not_encrypted", "it device_disabled", "it fact_unknown", "unchecked source_failing", "soon grace_period"},
			"device_disabled, not_encrypted, source_failing, fact_unknown",
		},
		{
			"account only", Blocked,
			[]decision.Finding{finding(decision.GroupMissing, block)},
			"You cannot open this page yet", "because one check",
			[]string{"it group_missing"},
			"group_missing",
		},
		{"no findings", Blocked, nil, "You cannot open this page yet", "access rules", nil, ""},
		{
			"step-up comes later", Blocked,
			[]decision.Finding{finding(decision.NotEncrypted, block), finding(decision.StepUpRequired, stepUp)},
			"This device needs attention", "one check",
			[]string{"you not_encrypted"},
			"not_encrypted, step_up_required",
		},
		{"step-up not available", Blocked, []decision.Finding{
			finding(decision.StepUpRequired, stepUp), finding(decision.RiskTooHigh, stepUp), finding(decision.StepUpUnavailable, block),
		}, "This device needs attention", "2 checks", []string{"you risk_too_high", "you step_up_unavailable"}, "step_up_required, risk_too_high, step_up_unavailable"},
		{
			"undecided hides policy", Undecided,
			[]decision.Finding{finding(decision.VerdictExpired, undecided), finding(decision.RiskTooHigh, stepUp)},
			"We cannot check your access right now", "on our side",
			[]string{"unchecked verdict_expired"},
			"verdict_expired, risk_too_high",
		},
		{"a stranger learns nothing", SignIn, []decision.Finding{
			finding(decision.SignInRequired, auth), finding(decision.NotEncrypted, block), finding(decision.InvalidToken, auth), finding(decision.GracePeriod, warn),
		}, "Please sign in", "signed in", []string{"you invalid_token"}, "sign_in_required, invalid_token"},
		{
			"bad request", BadRequest,
			[]decision.Finding{finding(decision.PathNotAllowed, block)},
			"This request cannot be answered", "before it reached",
			[]string{"you path_not_allowed"},
			"path_not_allowed",
		},
	}
	p := newPages(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := p.view(&Page{Kind: tt.kind, Findings: tt.findings, Device: "d", User: "u"})
			if v.Title != tt.title || !strings.Contains(v.Lead, tt.lead) {
				t.Errorf("%q, %q; want %q, %q", v.Title, v.Lead, tt.title, tt.lead)
			}
			if got := outline(v); !slices.Equal(got, tt.want) {
				t.Errorf("sections %q, want %q", got, tt.want)
			}
			if v.Codes != tt.codes {
				t.Errorf("codes %q, want %q", v.Codes, tt.codes)
			}
			if tt.kind == SignIn && (v.Device != "" || v.User != "") {
				t.Error("the sign-in page names a device or a user")
			}
		})
	}
}

func TestViewIsBounded(t *testing.T) {
	var fs []decision.Finding
	for i := range 100 {
		fs = append(fs, decision.Finding{Reason: decision.ExpressionFailed, Effect: decision.EffectBlock, Param: fmt.Sprint("rule ", i)})
	}
	if got := len(outline(newPages(t).view(&Page{Findings: fs}))); got != maxFindings {
		t.Errorf("%d findings shown, want %d", got, maxFindings)
	}
}

func TestWait(t *testing.T) {
	p := newPages(t)
	tests := []struct {
		lang string
		d    time.Duration
		want string
	}{
		{"en", 0, ""},
		{"en", -5, ""},
		{"en", time.Millisecond, "Please try again in a second."},
		{"en", 30 * time.Second, "Please try again in 30 seconds."},
		{"en", 29500 * time.Millisecond, "Please try again in 30 seconds."},
		{"de", 120 * time.Second, "Bitte versuchen Sie es in 120 Sekunden erneut."},
		{"de", 121 * time.Second, "Bitte versuchen Sie es in 3 Minuten erneut."},
	}
	for _, tt := range tests {
		v := p.view(&Page{Kind: Undecided, Lang: tt.lang, RetryAfter: tt.d})
		if got := strings.Join(v.Notes, "|"); got != tt.want {
			t.Errorf("%s %v: %q, want %q", tt.lang, tt.d, got, tt.want)
		}
	}
}

func TestRequestTitles(t *testing.T) {
	p := newPages(t)
	seen := map[string]int{}
	for _, lang := range decision.Languages() {
		for _, status := range []int{400, 405, 421, 425} {
			title := p.view(&Page{Kind: BadRequest, Status: status, Lang: lang}).Title
			if other := seen[title]; title == "" || other != 0 {
				t.Errorf("%s: %d has the title %q of %d", lang, status, title, other)
			}
			seen[title] = status
		}
	}
}

func TestExpected(t *testing.T) {
	p := newPages(t)
	tests := []struct {
		a    Accepts
		want []string
	}{
		{Accepts{}, []string{"Ask the owner"}},
		{Accepts{Issuers: []string{"entra", "corp"}}, []string{"signed in with entra, corp."}},
		{Accepts{Issuers: []string{"entra"}, Certificate: true}, []string{"signed in with entra.", "certificate"}},
	}
	for _, tt := range tests {
		got := p.view(&Page{Kind: SignIn, Accepts: tt.a}).Expected
		if len(got) != len(tt.want) {
			t.Errorf("%v: %q, want %q", tt.a, got, tt.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], tt.want[i]) {
				t.Errorf("%v: %q, want %q in it", tt.a, got[i], tt.want[i])
			}
		}
	}
}

// Every label exists in every language, and formats take the same values.
func TestLabels(t *testing.T) {
	if len(labels) != len(decision.Languages()) {
		t.Fatalf("%d sets of labels, %d languages", len(labels), len(decision.Languages()))
	}
	p := newPages(t)
	for _, lang := range decision.Languages() {
		have, other := reflect.ValueOf(*labels[lang]), reflect.ValueOf(*labels[decision.DefaultLanguage])
		for i := range have.NumField() {
			a, b := have.Field(i).String(), other.Field(i).String()
			if a == "" || strings.Count(a, "%d") != strings.Count(b, "%d") || strings.Count(a, "%s") != strings.Count(b, "%s") {
				t.Errorf("%s: label %s is %q, in English %q", lang, have.Type().Field(i).Name, a, b)
			}
		}
		for kind := range numKinds {
			if got := rendered(t, p, sample(kind, lang)); strings.Contains(got, "%!") || strings.Contains(got, "ZgotmplZ") {
				t.Errorf("%s page %d: a value does not fit its place", lang, kind)
			}
		}
	}
}
