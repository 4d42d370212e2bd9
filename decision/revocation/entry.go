package revocation

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The kinds of entry.
const (
	KindDevice      = "device"
	KindUser        = "user"
	KindCertificate = "certificate"
	KindSession     = "session"
)

// Bounds of the fields of an entry, in bytes.
const (
	MaxUser    = 512
	MaxSession = 512
	MaxOwner   = 256
	MaxReason  = 512 // longer reasons are cut, not refused
)

// ErrInvalid is wrapped by every error about the contents of an entry.
var ErrInvalid = errors.New("invalid revocation")

// Entry is one revocation. Exactly the field that Kind names says what is
// revoked; the other subject fields are empty.
type Entry struct {
	// ID is 128 random bits in hexadecimal. [List.Add] sets it.
	ID string `json:"id"`
	// Kind is one of the Kind constants.
	Kind string `json:"kind"`
	// Device is any id of the device.
	Device decision.Key `json:"device,omitzero"`
	// User is an object id, a User.ID or a user name. Case does not matter in
	// any of them: a revocation that misses for its spelling is worse than one
	// that hits two subjects that differ in case only.
	User string `json:"user,omitempty"`
	// Certificate is the SHA-256 of the leaf certificate's DER in hexadecimal.
	// Upper case and colons are accepted and removed.
	Certificate string `json:"certificate,omitempty"`
	// Session is the id of a session, compared byte by byte. It should be an
	// id that is no secret, such as the sid claim or a hash of a cookie.
	Session string `json:"session,omitempty"`
	// Reason is for operators. Control characters become spaces.
	Reason string `json:"reason,omitempty"`
	// Owner is who revoked: an operator or the name of a transmitter. Each
	// owner has its own entry for a subject, so that one owner's release does
	// not undo what another one did.
	Owner string `json:"owner,omitempty"`
	// Since is informative; an entry is in force as soon as it is added. Zero
	// or a time in the future means now.
	Since time.Time `json:"since"`
	// Until ends the entry, by the wall clock. Zero: until it is released.
	Until time.Time `json:"until,omitzero"`
}

// Active reports whether the entry is in force at now.
func (e *Entry) Active(now time.Time) bool { return e.Until.IsZero() || now.Before(e.Until) }

// normalize checks e and brings the subject into the form that is compared.
func (e *Entry) normalize() error {
	want := Entry{Kind: e.Kind}
	switch e.Kind {
	case KindDevice:
		k, ok := decision.CanonicalKey(e.Device.Kind, e.Device.Value)
		if !ok || k.Kind == "" || len(k.Kind) > 64 || !printable(k.Kind) {
			return fmt.Errorf("%w: device id is empty or malformed", ErrInvalid)
		}
		want.Device = k
	case KindUser:
		want.User = strings.TrimSpace(e.User)
		if want.User == "" || len(want.User) > MaxUser || !printable(want.User) {
			return fmt.Errorf("%w: user is empty, too long or not printable", ErrInvalid)
		}
	case KindCertificate:
		want.Certificate = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(e.Certificate), ":", ""))
		if _, err := thumbprint(want.Certificate); err != nil {
			return err
		}
	case KindSession:
		want.Session = e.Session
		if want.Session == "" || len(want.Session) > MaxSession || !printable(want.Session) {
			return fmt.Errorf("%w: session id is empty, too long or not printable", ErrInvalid)
		}
	default:
		return fmt.Errorf("%w: unknown kind", ErrInvalid)
	}
	if len(e.Owner) > MaxOwner || !printable(e.Owner) {
		return fmt.Errorf("%w: owner is too long or not printable", ErrInvalid)
	}
	if subjects(e) > 1 {
		return fmt.Errorf("%w: more than one subject", ErrInvalid)
	}
	if y := e.Since.Year(); y < 1 || y > 9999 || e.Until.Year() < 1 || e.Until.Year() > 9999 {
		return fmt.Errorf("%w: time is out of range", ErrInvalid) // JSON cannot hold it
	}
	e.Device, e.User, e.Certificate, e.Session = want.Device, want.User, want.Certificate, want.Session
	e.Reason = clean(e.Reason, MaxReason)
	// Without the monotonic reading the entry means the same after a restart.
	e.Since, e.Until = e.Since.Round(0).UTC(), e.Until.Round(0).UTC()
	return nil
}

// subjects counts the subject fields in use.
func subjects(e *Entry) int {
	n := 0
	for _, used := range []bool{e.Device != decision.Key{}, e.User != "", e.Certificate != "", e.Session != ""} {
		if used {
			n++
		}
	}
	return n
}

// subject is what an entry is about, in the form in which it is compared.
type subject struct {
	kind       string
	device     decision.Key
	text       string // folded user or session id
	thumbprint [sha256.Size]byte
}

// slot identifies an entry for Add: one per subject and owner.
type slot struct {
	subject
	owner string
}

// subject of a normalized entry.
func (e *Entry) subject() subject {
	s := subject{kind: e.Kind, device: e.Device, text: e.Session}
	switch e.Kind {
	case KindUser:
		s.text = string(fold(nil, e.User))
	case KindCertificate:
		s.thumbprint, _ = thumbprint(e.Certificate) // normalize checked it
	}
	return s
}

func thumbprint(s string) (t [sha256.Size]byte, err error) {
	if len(s) != hex.EncodedLen(len(t)) {
		return t, fmt.Errorf("%w: certificate is not a SHA-256 in hexadecimal", ErrInvalid)
	}
	if _, err := hex.Decode(t[:], []byte(s)); err != nil {
		return t, fmt.Errorf("%w: certificate is not a SHA-256 in hexadecimal", ErrInvalid)
	}
	return t, nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, it would end the program
	return hex.EncodeToString(b[:])
}

func validID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// clean makes free text safe for one line of a log and cuts it at a rune.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// fold appends s to buf in a form that is equal for two strings exactly if
// strings.EqualFold holds for them: each rune becomes the least of its case
// variants. It allocates only if buf is too small.
func fold(buf []byte, s string) []byte {
	for _, r := range s {
		if r < utf8.RuneSelf {
			if 'a' <= r && r <= 'z' {
				r -= 'a' - 'A'
			}
			buf = append(buf, byte(r))
			continue
		}
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		buf = utf8.AppendRune(buf, least)
	}
	return buf
}
