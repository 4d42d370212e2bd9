package vectors

import (
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Vector is one request and what its policy must answer. Load fills in the
// defaults, so that only what a vector is about needs to be written.
type Vector struct {
	// Name says what the vector shows; it is unique and the device's id is
	// derived from it.
	Name string `yaml:"name"`
	// Policy is Caddyfile text: policy and step_up blocks. The policy named
	// "this" is tested, else the last one. {{+30d}} is a date that far ahead.
	Policy string `yaml:"policy"`
	// User is who signed in; nil: nobody.
	User *User `yaml:"user"`
	// Device is what the credentials say about the device; nil: nothing.
	Device *Device `yaml:"device"`
	// Inventory is the device's row; nil: the file has no such device.
	Inventory *Row `yaml:"inventory"`
	// Account is the user's row in the same file; nil: the file has no such user.
	Account *Account `yaml:"account"`
	// Feed is the state of the inventory file; default FeedFresh.
	Feed Feed `yaml:"feed"`
	// ClientIP is the client's address; default 127.0.0.1.
	ClientIP string `yaml:"client_ip"`
	// Method and Path of the request; default GET /.
	Method string `yaml:"method"`
	Path   string `yaml:"path"`
	// Revoked is "device" or "user" if an operator revoked it; default nothing.
	Revoked string `yaml:"revoked"`

	// Want is the outcome: allow, step_up, undecided, authenticate or block.
	Want string `yaml:"want"`
	// Reasons are the codes that keep the request out, hard stops first, then in
	// the order of the policy's lines.
	Reasons []string `yaml:"reasons"`
	// Warnings are the codes that are only counted and shown.
	Warnings []string `yaml:"warnings"`
	// StepUp is the step-up that is asked for, with the outcome step_up.
	StepUp string `yaml:"step_up"`
	// Trial is what a report_only policy answers beside the enforced outcome.
	Trial *Trial `yaml:"trial"`
	// Status is the HTTP status that an API client sees.
	Status int `yaml:"status"`

	// File and Line are where the vector stands.
	File string `yaml:"-"`
	Line int    `yaml:"-"`
}

// Trial is the answer of a policy that is evaluated for the record only.
type Trial struct {
	Want     string   `yaml:"want"`
	Reasons  []string `yaml:"reasons"`
	Warnings []string `yaml:"warnings"`
}

// User is what the verified token, or the certificate, says about who asks.
type User struct {
	// Issuer is corp (any OpenID provider), entra, or certificate; default corp.
	Issuer string `yaml:"issuer"`
	// Name is the user principal name; "" for a machine client.
	Name string `yaml:"name"`
	// Groups of the token; nil: it carries none.
	Groups *[]string `yaml:"groups"`
	// GroupsOverage: the token says that there are too many groups to list.
	GroupsOverage bool `yaml:"groups_overage"`
	// ObjectID is Entra's oid; default derived from the vector's name.
	ObjectID string `yaml:"object_id"`
	// Client is the client id of the program that asks.
	Client string `yaml:"client"`
	// AppOnly marks a token that no person stands behind.
	AppOnly bool `yaml:"app_only"`
	// ACR, ACRs and AMR say how the user signed in; SignedIn when, as "-2h".
	ACR      string   `yaml:"acr"`
	ACRs     []string `yaml:"acrs"`
	AMR      []string `yaml:"amr"`
	SignedIn string   `yaml:"signed_in"`
	// CP1 marks an Entra client that answers claims challenges (xms_cc).
	CP1 bool `yaml:"cp1"`
	// Claims are further claims of the token.
	Claims map[string]any `yaml:"claims"`
}

// Device is what the credentials say about the device.
type Device struct {
	// Proof is token, bound_token, forwarded_certificate or certificate.
	Proof string `yaml:"proof"`
	// Serial is a serial number that the credential names beside the Entra id.
	Serial string `yaml:"serial"`
}

// Account is the user's row in the inventory file.
type Account struct {
	Enabled     *bool  `yaml:"enabled"`
	Risk        string `yaml:"risk"`
	Compromised *bool  `yaml:"compromised"`
}

// Feed is the state of the inventory file.
type Feed string

// The states. A fresh file is read now. A stale one is older than max_file_age
// by StaleFor: the source fails and policies live on stale_if_error. An expired
// one is older by ExpiredFor, beyond every tier. A missing one was never read.
const (
	FeedFresh   Feed = "fresh"
	FeedStale   Feed = "stale"
	FeedExpired Feed = "expired"
	FeedMissing Feed = "missing"
)

// Statuses are what an API client sees per outcome (DESIGN section 7).
var Statuses = map[string]int{"allow": 200, "step_up": 401, "authenticate": 401, "block": 403, "undecided": 503}

// check refuses a vector that contradicts itself or cannot be replayed over
// HTTP, and fills in the defaults.
func (v *Vector) check() error {
	fill(&v.Feed, FeedFresh)
	fill(&v.ClientIP, "127.0.0.1")
	fill(&v.Method, "GET")
	fill(&v.Path, "/")
	status, known := Statuses[v.Want]
	fill(&v.Status, status)
	switch {
	case v.Name == "" || v.Policy == "":
		return fmt.Errorf("name and policy are required")
	case !known:
		return fmt.Errorf("unknown outcome %q", v.Want)
	case v.Status != status:
		return fmt.Errorf("status %d does not fit %s, which is %d", v.Status, v.Want, status)
	case (v.Want == "allow") != (len(v.Reasons) == 0):
		return fmt.Errorf("an outcome other than allow needs reasons, allow has none")
	case (v.Want == "step_up") != (v.StepUp != ""):
		return fmt.Errorf("step_up must be named exactly when it is asked for")
	case !slices.Contains([]Feed{FeedFresh, FeedStale, FeedExpired, FeedMissing}, v.Feed):
		return fmt.Errorf("unknown feed %q", v.Feed)
	case !slices.Contains([]string{"", "device", "user"}, v.Revoked):
		return fmt.Errorf("revoked %q: device or user", v.Revoked)
	case v.Inventory != nil && v.Device == nil:
		return fmt.Errorf("a row without a device that the request names has no effect")
	case v.Account != nil && (v.User == nil || v.User.Name == ""):
		return fmt.Errorf("an account without a named user has no effect")
	}
	if err := v.checkIdentity(); err != nil {
		return err
	}
	if v.Inventory != nil {
		if _, err := v.Inventory.device(time.Now(), v.rowKeys()); err != nil {
			return err
		}
	}
	return checkCodes(v)
}

func (v *Vector) checkIdentity() error {
	if u := v.User; u != nil {
		fill(&u.Issuer, "corp")
		switch {
		case !slices.Contains([]string{"corp", "entra", decision.IssuerCertificate}, u.Issuer):
			return fmt.Errorf("unknown issuer %q", u.Issuer)
		case u.AppOnly != (u.Name == ""):
			return fmt.Errorf("a person has a name, a machine client (app_only) has none")
		case u.AppOnly && u.Client == "":
			return fmt.Errorf("a machine client needs client")
		case u.Groups != nil && u.GroupsOverage:
			return fmt.Errorf("groups_overage excludes groups")
		case u.Issuer != "entra" && (u.CP1 || len(u.ACRs) > 0 || u.ObjectID != ""):
			return fmt.Errorf("cp1, acrs and object_id exist at entra only")
		case u.Issuer == decision.IssuerCertificate && (u.Groups != nil || u.GroupsOverage || u.ACR != "" || len(u.AMR) > 0 || u.SignedIn != "" ||
			u.Claims != nil || u.Client != ""):
			return fmt.Errorf("a certificate names a user and nothing more")
		}
	}
	if d := v.Device; d != nil {
		p, ok := decision.ParseProof(d.Proof)
		switch {
		case !ok || p == decision.ProofAttested:
			return fmt.Errorf("unknown proof %q", d.Proof)
		case p <= decision.ProofBoundToken && (v.User == nil || v.User.Issuer == decision.IssuerCertificate):
			return fmt.Errorf("proof %s needs a token, which names a user or a client", d.Proof)
		}
	}
	if v.User != nil && v.User.Issuer == decision.IssuerCertificate {
		if v.Device == nil || v.Device.Proof != "certificate" && v.Device.Proof != "forwarded_certificate" {
			return fmt.Errorf("a certificate's user comes with proof certificate or forwarded_certificate")
		}
	}
	return nil
}

func checkCodes(v *Vector) error {
	codes := slices.Concat(v.Reasons, v.Warnings)
	if t := v.Trial; t != nil {
		if _, ok := Statuses[t.Want]; !ok {
			return fmt.Errorf("unknown outcome %q of the trial", t.Want)
		}
		codes = slices.Concat(codes, t.Reasons, t.Warnings)
	}
	for _, c := range codes {
		if _, ok := decision.ReasonByCode(c); !ok {
			return fmt.Errorf("unknown reason %q", c)
		}
	}
	return nil
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
