package pages

// Labels are the fixed words of the pages in one language. Templates reach them
// as .Labels.
type Labels struct {
	Header string // the line above every page

	DeviceTitle, AccountTitle           string
	LeadNone, LeadOne, LeadMany         string // %d: checks that did not pass
	YouFix, ITFixes, NotChecked, Warned string // headings of the sections
	AfterFix, StepUpNote, Unsent        string

	UndecidedTitle, UndecidedLead string
	WaitSeconds, WaitMinutes      string // %d
	WaitSecond                    string
	NotWorking                    string

	SignInTitle, SignInLead, Expected string
	ExpectIssuers                     string // %s: names
	ExpectCertificate, ExpectNothing  string

	RequestTitle, MethodTitle, MisdirectedTitle, EarlyTitle string
	RequestLead, WhatIsWrong                                string

	TryAgain, Manage                   string
	OpenApp                            string // %s: the app or portal of the device's manager
	Help, HelpIT                       string
	HelpBefore, HelpAfter              string // around the support's name, with punctuation
	Incident, Time, Device, User, Code string
}

var labels = map[string]*Labels{
	"en": {
		Header: "Access check",

		DeviceTitle:  "This device needs attention",
		AccountTitle: "You cannot open this page yet",
		LeadNone:     "Your company's access rules do not allow this request.",
		LeadOne:      "We did not open the page because one check did not pass.",
		LeadMany:     "We did not open the page because %d checks did not pass.",
		YouFix:       "What you can fix",
		ITFixes:      "What IT must fix",
		NotChecked:   "What we could not check",
		Warned:       "Not blocking you now, but fix it soon",
		AfterFix:     "Fixed it? Then try again. It can take a few minutes until device management has noticed.",
		StepUpNote:   "After that you will be asked to confirm your sign-in.",
		Unsent:       "What you entered was not sent. Use your browser's Back button to return to it, and copy it before you try again.",

		UndecidedTitle: "We cannot check your access right now",
		UndecidedLead:  "The problem is on our side, not with you or your device. You do not need to change anything.",
		WaitSecond:     "Please try again in a second.",
		WaitSeconds:    "Please try again in %d seconds.",
		WaitMinutes:    "Please try again in %d minutes.",
		NotWorking:     "What is not working",

		SignInTitle:       "Please sign in",
		SignInLead:        "This page is only for people who are signed in, and we did not receive a valid sign-in from you.",
		Expected:          "What is expected here",
		ExpectIssuers:     "An app that is signed in with %s. Open this page from that app.",
		ExpectCertificate: "A certificate of your company on this device. If your browser asks, choose that one.",
		ExpectNothing:     "Ask the owner of this page how to sign in.",

		RequestTitle:     "This request cannot be answered",
		MethodTitle:      "This action is not possible here",
		MisdirectedTitle: "This went to the wrong place",
		EarlyTitle:       "Please load the page again",
		RequestLead:      "We stopped the request before it reached the site. Your device and your account are not the cause.",
		WhatIsWrong:      "What is wrong",

		TryAgain:   "Try again",
		Manage:     "Open device management",
		OpenApp:    "Open %s",
		Help:       "Need help?",
		HelpBefore: "Contact",
		HelpAfter:  " and give them the incident ID.",
		HelpIT:     "Contact your IT team and give them the incident ID.",
		Incident:   "Incident ID",
		Time:       "Time",
		Device:     "Device",
		User:       "Signed in as",
		Code:       "Reason",
	},
	"de": {
		Header: "Zugriffsprüfung",

		DeviceTitle:  "Dieses Gerät braucht Aufmerksamkeit",
		AccountTitle: "Sie können diese Seite noch nicht öffnen",
		LeadNone:     "Die Zugriffsregeln Ihrer Firma erlauben diese Anfrage nicht.",
		LeadOne:      "Wir haben die Seite nicht geöffnet, weil eine Prüfung nicht bestanden wurde.",
		LeadMany:     "Wir haben die Seite nicht geöffnet, weil %d Prüfungen nicht bestanden wurden.",
		YouFix:       "Was Sie beheben können",
		ITFixes:      "Was die IT beheben muss",
		NotChecked:   "Was wir nicht prüfen konnten",
		Warned:       "Sperrt Sie jetzt nicht, sollte aber bald behoben werden",
		AfterFix:     "Behoben? Dann versuchen Sie es erneut. Es kann ein paar Minuten dauern, bis die Geräteverwaltung es bemerkt.",
		StepUpNote:   "Danach werden Sie gebeten, Ihre Anmeldung zu bestätigen.",
		Unsent:       "Ihre Eingaben wurden nicht gesendet. Gehen Sie im Browser zurück, um sie wiederzufinden, und kopieren Sie sie, bevor Sie es erneut versuchen.",

		UndecidedTitle: "Wir können Ihren Zugriff gerade nicht prüfen",
		UndecidedLead:  "Das Problem liegt bei uns, nicht bei Ihnen oder Ihrem Gerät. Sie müssen nichts ändern.",
		WaitSecond:     "Bitte versuchen Sie es in einer Sekunde erneut.",
		WaitSeconds:    "Bitte versuchen Sie es in %d Sekunden erneut.",
		WaitMinutes:    "Bitte versuchen Sie es in %d Minuten erneut.",
		NotWorking:     "Was nicht funktioniert",

		SignInTitle:       "Bitte melden Sie sich an",
		SignInLead:        "Diese Seite ist nur für angemeldete Personen, und wir haben von Ihnen keine gültige Anmeldung erhalten.",
		Expected:          "Was hier erwartet wird",
		ExpectIssuers:     "Eine App, die mit %s angemeldet ist. Öffnen Sie diese Seite aus dieser App.",
		ExpectCertificate: "Ein Zertifikat Ihrer Firma auf diesem Gerät. Wenn der Browser fragt, wählen Sie dieses.",
		ExpectNothing:     "Fragen Sie den Betreiber dieser Seite, wie man sich anmeldet.",

		RequestTitle:     "Diese Anfrage lässt sich nicht beantworten",
		MethodTitle:      "Diese Aktion ist hier nicht möglich",
		MisdirectedTitle: "Das kam an der falschen Stelle an",
		EarlyTitle:       "Bitte laden Sie die Seite neu",
		RequestLead:      "Wir haben die Anfrage angehalten, bevor sie die Website erreichte. An Ihrem Gerät und Ihrem Konto liegt es nicht.",
		WhatIsWrong:      "Was nicht stimmt",

		TryAgain:   "Erneut versuchen",
		Manage:     "Geräteverwaltung öffnen",
		OpenApp:    "%s öffnen",
		Help:       "Brauchen Sie Hilfe?",
		HelpBefore: "Kontakt:",
		HelpAfter:  ". Nennen Sie dort die Vorgangsnummer.",
		HelpIT:     "Wenden Sie sich an Ihre IT und nennen Sie die Vorgangsnummer.",
		Incident:   "Vorgangsnummer",
		Time:       "Zeit",
		Device:     "Gerät",
		User:       "Angemeldet als",
		Code:       "Grund",
	},
}
