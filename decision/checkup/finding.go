package checkup

import (
	"fmt"
	"slices"
)

// State is how one check went. The zero value says that it was not made, so that
// nothing is called good by accident.
type State uint8

// The states.
const (
	Skipped State = iota // not made, or it has no answer here; Text says why
	OK
	Warning // it works now, and somebody should look at it
	Fault   // it does not work, or will not in a moment
	numStates
)

var stateNames = [numStates]string{"skipped", "ok", "warning", "fault"}

// String returns the word that is printed.
func (s State) String() string {
	if s < numStates {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText gives the word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word; another one is an error.
func (s *State) UnmarshalText(b []byte) error {
	i := slices.Index(stateNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown state %.20q", b)
	}
	*s = State(i)
	return nil
}

// The checks. The words are stable: alerts and scripts compare them.
const (
	CheckLoad        = "load"        // the configuration, or a file, can be loaded
	CheckSetting     = "setting"     // the settings of one object are complete
	CheckReach       = "reach"       // the service answers
	CheckCertificate = "certificate" // the service's TLS certificate
	CheckClock       = "clock"       // our clock against the service's
	CheckToken       = "token"       // an access token for the service can be had
	CheckCredential  = "credential"  // when our secret or certificate ends
	CheckPermission  = "permission"  // what we may read
	CheckPrivilege   = "privilege"   // what we may do and need not
	CheckHeadroom    = "headroom"    // how much of the service's limits is left
	CheckSignIn      = "sign_in"     // the service accepts our sign-in
	CheckAnswer      = "answer"      // the answer is what the service should send
	CheckVersion     = "version"     // of the service
	CheckDevices     = "devices"     // there are devices, and they report
	CheckUsers       = "users"       // users can be read
	CheckUserRisk    = "user_risk"   // users at risk can be read
	CheckAlerts      = "alerts"      // alerts can be read
	CheckChanges     = "changes"     // changes can be asked for
	CheckSettings    = "settings"    // of the tenant, where they surprise
	CheckConnectors  = "connectors"  // of partners that report threats
	CheckDiscovery   = "discovery"   // the service's own description is found and right
	CheckKeys        = "keys"        // the issuer's signing keys
	CheckTrustPool   = "trust_pool"  // the authorities of device certificates
	CheckCRL         = "crl"         // the revocation lists
	CheckFile        = "file"        // a file can be read
	CheckRows        = "rows"        // its records can be used
	CheckAge         = "age"         // it is new enough
	CheckLookup      = "lookup"      // one device, asked for as a request would
	CheckDecision    = "decision"    // what a policy says about that device
	CheckExamination = "examination" // the examination itself
)

// Finding is the result of one check: a sentence for a person, and words for a
// program. It never holds a secret or a token.
type Finding struct {
	// Check is one of the words above.
	Check string `json:"check"`
	// State is how it went.
	State State `json:"state"`
	// Text is one sentence without a full stop.
	Text string `json:"text"`
	// Fix is what to do next; empty: nothing.
	Fix string `json:"fix,omitempty"`
}

// Ok makes a finding that all is well.
func Ok(check, text string) Finding { return Finding{Check: check, State: OK, Text: text} }

// Warn makes a finding that somebody should look at.
func Warn(check, text, fix string) Finding {
	return Finding{Check: check, State: Warning, Text: text, Fix: fix}
}

// Fail makes a finding of something that does not work.
func Fail(check, text, fix string) Finding {
	return Finding{Check: check, State: Fault, Text: text, Fix: fix}
}

// Skip makes a finding of a check that was not made.
func Skip(check, text string) Finding { return Finding{Check: check, State: Skipped, Text: text} }

// Worst returns the worst state; without any finding [Skipped].
func Worst(findings []Finding) State {
	worst := Skipped
	for i := range findings {
		worst = max(worst, findings[i].State)
	}
	return worst
}
