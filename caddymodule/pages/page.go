package pages

import (
	"net/http"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Kind says which page is shown. The zero value is the block page, so that a
// forgotten kind never looks like something that the person can wave through.
type Kind uint8

// The kinds of pages.
const (
	Blocked    Kind = iota // 403: something about the user or the device must change
	Undecided              // 503: we lack facts, and that is our fault
	SignIn                 // 401: nobody is signed in, and we cannot offer a sign-in
	BadRequest             // 400, 405, 421, 425: the request itself is wrong
	numKinds
)

// files are the template of each kind.
var files = [numKinds]string{"blocked.html", "undecided.html", "signin.html", "request.html"}

var statuses = [numKinds]int{
	http.StatusForbidden, http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusBadRequest,
}

// Page is everything that one answer shows. Strings may come from outside as
// they are; a part that is empty is left out. Render only reads a Page.
type Page struct {
	Kind Kind
	// Lang is a language from [Language]; anything else is English.
	Lang string
	// Status is the HTTP status; 0 takes the kind's own. For BadRequest it
	// also chooses the heading.
	Status   int
	Platform decision.Platform
	// Findings of the decision, as they are. At most 32 are shown. The sign-in
	// page shows only what asks for a sign-in: a stranger never learns policy.
	Findings []decision.Finding
	// DecisionID is what the person quotes to support.
	DecisionID string
	Device     string // the device's name
	User       string // who is signed in, for display
	// RetryAfter is how long to wait before another try; it must be what the
	// Retry-After header says. It is shown in whole seconds, rounded up.
	RetryAfter time.Duration
	// RetryPath is where "Try again" leads: a path of this site, starting with
	// one slash. Anything else removes the link.
	RetryPath string
	// Unsent is true if the request carried data, such as a form, which the
	// link cannot send again.
	Unsent bool
	// Now is shown in UTC; left out if zero.
	Now time.Time
	// Management is who manages the device. The block page names that system, its
	// app and what to do there, next to what is wrong with the device.
	Management decision.Management
	// ManageURL leads to the system's portal. Only https is shown, and only where
	// the manager is known.
	ManageURL string
	// Accepts lists what the sign-in page says is expected.
	Accepts Accepts
}

// Accepts is which credentials a site accepts, for the sign-in page.
type Accepts struct {
	Issuers     []string // configured names of the issuers whose tokens count; at most 8 are shown
	Certificate bool     // a device certificate may name the user
}

func (pg *Page) status() int {
	if pg.Status >= 400 && pg.Status <= 599 {
		return pg.Status
	}
	if pg.Kind < numKinds {
		return statuses[pg.Kind]
	}
	return http.StatusForbidden
}

func (pg *Page) language() string {
	if labels[pg.Lang] != nil {
		return pg.Lang
	}
	return decision.DefaultLanguage
}

// Seconds rounds a wait up to whole seconds, for the Retry-After header. The
// result is between 0 and 86400.
func Seconds(d time.Duration) int {
	const day = 24 * time.Hour
	return int((min(max(d, 0), day) + time.Second - 1) / time.Second)
}
