package pages

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The bounds of one page.
const (
	maxFindings = 32
	maxIssuers  = 8
	maxURL      = 2048
)

// View is the data of the templates. All strings are plain text of bounded
// length; the template engine escapes them.
type View struct {
	Kind   string // "blocked", "undecided", "signin" or "request"
	Status int
	Lang   string
	Labels *Labels
	Style  template.CSS

	Title, Lead string
	Sections    []Section
	Notes       []string // further sentences, in order
	Expected    []string // the sign-in page: which sign-ins count

	RetryPath string // "" without a link
	ManageURL string // "" without a link
	// ManageLabel is the text of that link. Managed says who manages the device and
	// what to do there; zero if nothing shall be said.
	ManageLabel string
	Managed     decision.Text
	// SelfService is true if at least one thing can be mended by the person.
	SelfService bool

	SupportName string
	SupportURL  template.URL

	DecisionID, Device, User string
	Codes                    string // the reason codes, for support
	Time, TimeISO            string
}

// Section is a list of findings under one heading.
type Section struct {
	ID    string // for aria-labelledby; also says what the section holds: you, it, unchecked, soon
	Title string
	Items []Item
}

// Item is one finding.
type Item struct {
	Code        string // the stable reason code
	Message     string
	Remediation string
	// Settings are the device's settings that fail, each with its own steps if
	// they are known.
	Settings []decision.Text
}

func (p *Pages) view(pg *Page) *View {
	lang := pg.language()
	l := labels[lang]
	v := &View{
		Status: pg.status(), Lang: lang, Labels: l, Style: p.style,
		SupportName: p.supportName,
		DecisionID:  decision.DisplayText(pg.DecisionID),
		Device:      decision.DisplayText(pg.Device),
		User:        decision.DisplayText(pg.User),
		RetryPath:   localPath(pg.RetryPath),
		ManageURL:   httpsURL(pg.ManageURL),
	}
	v.SupportURL = p.support(v.DecisionID, l)
	v.Managed = pg.Management.Text(lang, pg.Platform)
	if v.Managed.Message == "" {
		v.ManageURL = ""
	}
	v.ManageLabel = l.Manage
	if app := pg.Management.AppName(lang, pg.Platform); app != "" {
		v.ManageLabel = fmt.Sprintf(l.OpenApp, app)
	}
	if !pg.Now.IsZero() {
		now := pg.Now.UTC()
		v.Time, v.TimeISO = decision.DateText(lang, now), now.Format(time.RFC3339)
	}
	switch pg.Kind {
	case Undecided:
		v.undecided(pg)
	case SignIn:
		v.signIn(pg)
	case BadRequest:
		v.request(pg)
	default:
		v.blocked(pg)
	}
	if v.Kind != "blocked" {
		v.ManageURL, v.Managed = "", decision.Text{} // there is nothing to mend
	}
	if pg.Unsent {
		v.Notes = append(v.Notes, l.Unsent)
	}
	return v
}

func (v *View) blocked(pg *Page) {
	v.Kind = "blocked"
	var you, it, unchecked, soon []Item
	device, stepUp := false, false
	unavailable := slices.ContainsFunc(pg.Findings, func(f decision.Finding) bool {
		return f.Reason == decision.StepUpUnavailable
	})
	for f := range v.findings(pg) {
		switch f.Effect {
		case decision.EffectWarn:
			soon = append(soon, v.item(f, pg))
			continue
		case decision.EffectUndecided:
			unchecked = append(unchecked, v.item(f, pg))
			continue
		case decision.EffectStepUp:
			if !unavailable {
				stepUp = true
				continue
			}
			if f.Reason == decision.StepUpRequired {
				continue // step_up_unavailable says it already
			}
		}
		device = device || AboutDevice(f.Reason)
		if f.Reason.FixedBy() == decision.ByUser || f.Reason == decision.StepUpUnavailable {
			you = append(you, v.item(f, pg))
		} else {
			it = append(it, v.item(f, pg))
		}
	}
	l := v.Labels
	v.Title = l.AccountTitle
	if device {
		v.Title = l.DeviceTitle
	}
	switch n := len(you) + len(it); n {
	case 0:
		v.Lead = l.LeadNone
	case 1:
		v.Lead = l.LeadOne
	default:
		v.Lead = fmt.Sprintf(l.LeadMany, n)
	}
	v.SelfService = len(you) > 0
	if !device && len(soon) == 0 {
		v.ManageURL, v.Managed = "", decision.Text{} // nothing to mend there
	}
	v.section("you", l.YouFix, you)
	v.section("it", l.ITFixes, it)
	v.section("unchecked", l.NotChecked, unchecked)
	v.section("soon", l.Warned, soon)
	v.dropSaid()
	if device && v.SelfService {
		v.Notes = append(v.Notes, l.AfterFix)
	}
	if stepUp {
		v.Notes = append(v.Notes, l.StepUpNote)
	}
}

// dropSaid leaves out the steps in the manager's app if a check names them already.
func (v *View) dropSaid() {
	for _, s := range v.Sections {
		for _, item := range s.Items {
			if item.Remediation == v.Managed.Remediation {
				v.Managed.Remediation = ""
				return
			}
		}
	}
}

func (v *View) undecided(pg *Page) {
	l := v.Labels
	v.Kind, v.Title, v.Lead = "undecided", l.UndecidedTitle, l.UndecidedLead
	v.SelfService = true
	switch s := Seconds(pg.RetryAfter); {
	case s == 0:
	case s == 1:
		v.Notes = append(v.Notes, l.WaitSecond)
	case s <= 120:
		v.Notes = append(v.Notes, fmt.Sprintf(l.WaitSeconds, s))
	default:
		v.Notes = append(v.Notes, fmt.Sprintf(l.WaitMinutes, (s+59)/60))
	}
	var broken, soon []Item
	for f := range v.findings(pg) {
		item := v.item(f, pg)
		switch f.Effect {
		case decision.EffectWarn:
			soon = append(soon, item)
		case decision.EffectUndecided:
			item.Remediation = "" // the page itself says to wait
			broken = append(broken, item)
		}
	}
	v.section("unchecked", l.NotWorking, broken)
	v.section("soon", l.Warned, soon)
}

func (v *View) signIn(pg *Page) {
	l := v.Labels
	v.Kind, v.Title, v.Lead, v.Device, v.User = "signin", l.SignInTitle, l.SignInLead, "", ""
	v.SelfService = true
	var items []Item
	for f := range v.findings(pg) {
		// The page itself says that a sign-in is required.
		if f.Reason != decision.SignInRequired {
			items = append(items, v.item(f, pg))
		}
	}
	v.section("you", l.WhatIsWrong, items)
	names := make([]string, 0, maxIssuers)
	for _, n := range pg.Accepts.Issuers[:min(len(pg.Accepts.Issuers), maxIssuers)] {
		names = append(names, decision.DisplayText(n))
	}
	if len(names) > 0 {
		v.Expected = append(v.Expected, fmt.Sprintf(l.ExpectIssuers, strings.Join(names, ", ")))
	}
	if pg.Accepts.Certificate {
		v.Expected = append(v.Expected, l.ExpectCertificate)
	}
	if len(v.Expected) == 0 {
		v.Expected = append(v.Expected, l.ExpectNothing)
	}
}

func (v *View) request(pg *Page) {
	l := v.Labels
	v.Kind, v.Title, v.Lead = "request", l.RequestTitle, l.RequestLead
	v.SelfService = true
	switch v.Status {
	case http.StatusMethodNotAllowed:
		v.Title = l.MethodTitle
	case http.StatusMisdirectedRequest:
		v.Title = l.MisdirectedTitle
	case http.StatusTooEarly:
		v.Title = l.EarlyTitle
	}
	var items []Item
	for f := range v.findings(pg) {
		items = append(items, v.item(f, pg))
	}
	v.section("you", l.WhatIsWrong, items)
}

// findings yields what the page may show, bounded, and collects the codes.
func (v *View) findings(pg *Page) func(func(*decision.Finding) bool) {
	return func(yield func(*decision.Finding) bool) {
		var codes []string
		defer func() { v.Codes = strings.Join(codes, ", ") }()
		shown := 0
		for i := range pg.Findings {
			f := &pg.Findings[i]
			if f.Reason.Code() == "" || pg.Kind == SignIn && f.Effect != decision.EffectAuthenticate {
				continue
			}
			if shown++; shown > maxFindings {
				return
			}
			if code := f.Reason.Code(); f.Effect != decision.EffectWarn && !slices.Contains(codes, code) {
				codes = append(codes, code)
			}
			if !yield(f) {
				return
			}
		}
	}
}

func (v *View) item(f *decision.Finding, pg *Page) Item {
	t := f.TextBy(v.Lang, pg.Platform, pg.Management)
	it := Item{Code: f.Reason.Code(), Message: t.Message, Remediation: t.Remediation}
	if it.Settings = f.Settings(v.Lang, pg.Platform); len(it.Settings) > 0 {
		it.Message = f.Reason.Text(v.Lang, pg.Platform).Message // the list follows
	}
	return it
}

func (v *View) section(id, title string, items []Item) {
	if len(items) > 0 {
		v.Sections = append(v.Sections, Section{ID: id, Title: title, Items: items})
	}
}

// AboutDevice reports whether r is about the device rather than the account,
// the network or a rule of the site.
func AboutDevice(r decision.Reason) bool {
	switch r {
	case decision.CertificateInvalid, decision.DeviceDisabled, decision.DeviceRetired, decision.Jailbroken,
		decision.DeviceCompromised:
		return true
	case decision.NetworkNotAllowed, decision.ExpressionFailed, decision.FactUnknown:
		return false
	}
	return r >= decision.DeviceUnidentified && r <= decision.ProofTooWeak
}

// localPath returns s if it is a path of this site, else "". "//host" and
// "/\host" would lead to another site.
func localPath(s string) string {
	if len(s) == 0 || len(s) > maxURL || s[0] != '/' || len(s) > 1 && (s[1] == '/' || s[1] == '\\') {
		return ""
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f || s[i] == '\\' {
			return ""
		}
	}
	return s
}

// httpsURL returns s if it is an absolute https URL without user info, else "".
func httpsURL(s string) string {
	if u, err := url.Parse(s); err == nil && len(s) <= maxURL && u.Scheme == "https" && u.Host != "" && u.User == nil {
		return u.String()
	}
	return ""
}
