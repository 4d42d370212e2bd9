package intune

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// notes is what the source keeps for the next process, and has from an earlier one.
type notes struct {
	// tenant is the tenant's id as the service says it; empty: not known yet.
	tenant string
	// waiting is the note of an earlier process, as long as it is not known whether it
	// is about this tenant, and raw is how it was written. Nil: none waits.
	waiting *note
	raw     []byte
}

// note is what the tenant's settings and connectors said, and when they did.
type note struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	// Tenant is the id in the token of the application (claim tid): the configured
	// name may be a domain, or missing with a managed identity.
	Tenant string `json:"tenant"`
	// RequirePolicy is Options.StrictDefault, which decides what the settings mean.
	RequirePolicy bool `json:"require_policy"`
	// HeardAt is when connectors were read; zero: never. Platforms has every platform.
	HeardAt   time.Time         `json:"heard_at,omitzero"`
	Platforms map[string]string `json:"platforms,omitempty"`
	// SettingsAt is when settings were read; zero: never.
	SettingsAt      time.Time `json:"settings_at,omitzero"`
	CheckInDays     int       `json:"check_in_days,omitempty"`
	SecureByDefault *bool     `json:"secure_by_default,omitempty"`
}

const (
	noteKind    = "intune"
	noteVersion = 1
)

// The words about a platform's connectors.
const (
	noteSpeaks = "speaks"
	noteSilent = "silent"
	noteNone   = "none" // no connector is switched on for it
)

// Note implements [source.Noter]: what a restart must not forget. Without the
// connectors every risk level would be only the least that it can be, and without the
// settings a verdict would count for as long as the service's default says.
func (s *Source) Note() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.tenant
	switch {
	case s.notes.waiting != nil:
		return s.notes.raw
	case s.notes.tenant == "" || t.heardAt.IsZero() && t.settingsAt.IsZero():
		return nil
	}
	n := note{
		Kind: noteKind, Version: noteVersion, Tenant: s.notes.tenant, RequirePolicy: s.o.StrictDefault,
		HeardAt: t.heardAt.UTC(), SettingsAt: t.settingsAt.UTC(),
	}
	if !t.heardAt.IsZero() {
		n.Platforms = map[string]string{}
		for p := range decision.NumPlatforms {
			switch {
			case t.silent[p]:
				n.Platforms[p.String()] = noteSilent
			case t.deaf[p]:
				n.Platforms[p.String()] = noteNone
			default:
				n.Platforms[p.String()] = noteSpeaks
			}
		}
	}
	if !t.settingsAt.IsZero() {
		n.CheckInDays = int(t.checkIn / (24 * time.Hour))
		if t.secureByDefault != decision.Unknown {
			secure := t.secureByDefault == decision.Yes
			n.SecureByDefault = &secure
		}
	}
	b, err := json.Marshal(n)
	if err != nil {
		return nil // a clock beyond the year 9999
	}
	return b
}

// TakeNote implements [source.Noter]. The note waits until a token says whether it is
// about this tenant.
func (s *Source) TakeNote(b []byte) {
	n, err := parseNote(b)
	if err == nil && n.RequirePolicy != s.o.StrictDefault {
		err = errors.New("require_policy was switched since")
	}
	if err != nil {
		s.noteRefused(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes.waiting, s.notes.raw = n, b
}

func (s *Source) noteRefused(err error) {
	s.o.Logger.Info("intune: what an earlier process knew of connectors and settings is not used", "error", err)
}

// parseNote reads a note strictly: a part that is missing or odd makes all of it
// unreadable, and connectors that were never heard.
func parseNote(b []byte) (*note, error) {
	n := &note{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(n); err != nil {
		return nil, errors.New("note cannot be read")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("note has something behind its end")
	}
	tenant, ok := decision.CanonicalKey(decision.KindEntra, n.Tenant)
	switch {
	case n.Kind != noteKind:
		return nil, errors.New("note is of another kind of source")
	case n.Version != noteVersion:
		return nil, fmt.Errorf("note has version %d, not %d", n.Version, noteVersion)
	case !ok || tenant.Value != n.Tenant:
		return nil, errors.New("note names no tenant")
	case n.HeardAt.IsZero() != (n.Platforms == nil):
		return nil, errors.New("note has connectors without a time, or a time without connectors")
	case n.SettingsAt.IsZero() && (n.CheckInDays != 0 || n.SecureByDefault != nil):
		return nil, errors.New("note has settings without a time")
	case !n.SettingsAt.IsZero() && (n.CheckInDays < 1 || n.CheckInDays > maxCheckInDays):
		return nil, errors.New("note has no usable validity period")
	}
	if n.Platforms == nil {
		return n, nil
	}
	for p := range decision.NumPlatforms { // one that is not named must not pass for one that speaks
		switch n.Platforms[p.String()] {
		case noteSpeaks, noteSilent, noteNone:
		default:
			return nil, fmt.Errorf("note does not tell of connectors for %s", p)
		}
	}
	if len(n.Platforms) != int(decision.NumPlatforms) {
		return nil, errors.New("note has an unknown platform")
	}
	return n, nil
}

// nameTenant learns the tenant's id, by the token at hand.
func (s *Source) nameTenant(ctx context.Context) {
	s.mu.Lock()
	known := s.notes.tenant != ""
	s.mu.Unlock()
	if known {
		return
	}
	id, err := s.tenantID(ctx)
	if err != nil {
		return // then there is no note; the next answer tries again
	}
	s.mu.Lock()
	s.notes.tenant = id
	s.mu.Unlock()
}

// tenantID is the tenant that the application's token is for; empty if it says none.
// The error is that there is no token.
func (s *Source) tenantID(ctx context.Context) (string, error) {
	claims, _, err := s.o.Client.Token(ctx, msgraph.Graph)
	if err != nil {
		return "", err
	}
	k, _ := decision.CanonicalKey(decision.KindEntra, claims.TenantID)
	return k.Value, nil
}

// adopt takes the note of an earlier process if it is about this tenant. Nothing may
// be judged while one waits; the error is that there is no token to tell by.
func (s *Source) adopt(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	waits := s.notes.waiting != nil
	s.mu.Unlock()
	if !waits {
		return nil
	}
	id, err := s.tenantID(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	n := s.notes.waiting
	s.notes.waiting, s.notes.raw = nil, nil
	ours := n != nil && id == n.Tenant
	if ours {
		s.notes.tenant = id
		s.tenant.recall(n, now)
	}
	s.mu.Unlock()
	if n != nil && !ours {
		s.noteRefused(errors.New("it is about another tenant"))
	}
	return nil
}

// recall takes over what an earlier process read, where this one has read nothing
// itself. Connectors count until a day after they were read, as without a restart.
// Settings count until this process reads its own; what makes them laxer than the
// service's defaults only for a day (see doubt).
func (t *tenant) recall(n *note, now time.Time) {
	if t.heardAt.IsZero() && !n.HeardAt.IsZero() && !n.HeardAt.After(now) {
		for p := range decision.NumPlatforms {
			word := n.Platforms[p.String()]
			t.silent[p], t.deaf[p] = word == noteSilent, word == noteNone
		}
		t.heardAt = n.HeardAt
		t.hear(now)
	}
	if !t.settingsAt.IsZero() || n.SettingsAt.IsZero() {
		return
	}
	checkIn, secure := time.Duration(n.CheckInDays)*24*time.Hour, decision.Unknown
	if n.SecureByDefault != nil {
		secure = decision.TriOf(*n.SecureByDefault)
	}
	t.checkIn, t.secureByDefault, t.settingsAt, t.recalled = checkIn, secure, n.SettingsAt, true
	t.doubt(now)
}

// doubt takes back what makes the settings of an earlier process laxer than the
// service's defaults, from a day after they were read, or when that time is in the
// future. It is for when this process cannot read its own. What this process read
// stays for as long as it runs.
func (t *tenant) doubt(now time.Time) {
	if age := now.Sub(t.settingsAt); !t.recalled || age >= 0 && age < settingsTrust {
		return
	}
	t.checkIn = min(t.checkIn, defaultCheckIn)
	if t.secureByDefault == decision.Yes {
		t.secureByDefault = decision.Unknown
	}
}

var _ source.Noter = (*Source)(nil)
