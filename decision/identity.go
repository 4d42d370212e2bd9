package decision

import (
	"strings"
	"sync/atomic"
)

// Proof says how strongly a request showed which device it comes from. A
// higher constant is stronger. The zero value is no proof.
type Proof uint8

// The proofs, weakest first.
const (
	ProofNone                 Proof = iota
	ProofAttested                   // the identity provider checked a device, we do not know which
	ProofToken                      // a device id in a bearer token
	ProofBoundToken                 // a device id in a token bound to the client's certificate (RFC 8705)
	ProofForwardedCertificate       // a certificate that a trusted proxy checked and passed on
	ProofCertificate                // a certificate on this TLS connection
)

var proofNames = [...]string{"none", "attested", "token", "bound_token", "forwarded_certificate", "certificate"}

// String returns the name as written in a policy.
func (p Proof) String() string { return name(proofNames[:], int(p)) }

// ParseProof reads a name as written in a policy; "none" is not accepted.
func ParseProof(s string) (Proof, bool) {
	i, ok := index(proofNames[:], s)
	return Proof(i), ok && i > 0
}

// Key is one id of a device. Values are canonical: GUIDs in lower case without
// braces. Keys of different kinds never compare equal.
type Key struct {
	Kind  string `json:"kind"`  // KindEntra and its like, or a name from the configuration
	Value string `json:"value"` // at most 256 bytes
}

// The kinds of device id that sources share. An operator may add kinds of
// their own for in-house inventories.
const (
	KindEntra  = "entra"  // Entra ID deviceId
	KindIntune = "intune" // Intune managedDevice id
	KindSerial = "serial" // hardware serial number: can be forged by whoever holds the device

	KindEntraObject = "entra_object" // Entra ID directory object id of the device
	KindSID         = "sid"          // Windows security identifier in the on-premises domain
	KindDefender    = "defender"     // Defender for Endpoint machine id
	KindConfigMgr   = "configmgr"    // Configuration Manager SMSUniqueIdentifier
)

// CanonicalKey trims and normalises an id: GUID forms become lower case without
// braces, serial numbers upper case. The result is false for an empty or
// overlong value or one with control characters.
func CanonicalKey(kind, value string) (Key, bool) {
	if isCanonical(kind, value) {
		return Key{Kind: kind, Value: value}, true
	}
	v := strings.Trim(value, " \t\r\n")
	if kind == KindSerial {
		v = mapASCII(v, 'a', 'z')
	} else {
		v = mapASCII(v, 'A', 'Z')
		if len(v) == 38 && v[0] == '{' && v[37] == '}' {
			v = v[1:37]
		}
	}
	if v == "" || len(v) > 256 || strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd }) {
		return Key{}, false
	}
	if kind == KindEntra || kind == KindIntune {
		if v == zeroGUID || !isGUID(v) {
			return Key{}, false
		}
	}
	return Key{Kind: kind, Value: v}, true
}

const zeroGUID = "00000000-0000-0000-0000-000000000000"

// isCanonical recognises in one pass what CanonicalKey would return as it is:
// nearly every id that a source reads. False means only that it is not obvious.
func isCanonical(kind, v string) bool {
	if kind == KindEntra || kind == KindIntune {
		return isGUID(v) && v != zeroGUID
	}
	if v == "" || len(v) > 256 || v[0] == '{' {
		return false
	}
	first := byte('A') // of the letters that the other case stands for
	if kind == KindSerial {
		first = 'a'
	}
	for i := range len(v) {
		if c := v[i]; c <= ' ' || c >= 0x7f || c-first < 26 {
			return false
		}
	}
	return true
}

// mapASCII changes the case of the letters from first to last. Letters beyond
// ASCII stay: folding them would make two ids of two devices one ("ſn1", "SN1").
func mapASCII(s string, first, last byte) string {
	for i := range len(s) {
		if c := s[i]; first <= c && c <= last {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if first <= b[j] && b[j] <= last {
					b[j] ^= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

// equalFoldASCII compares names without regard to the case of ASCII letters, and
// of no others: wider folding would make different accounts one.
func equalFoldASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x |= 0x20; x != y|0x20 || x < 'a' || x > 'z' {
			return false
		}
	}
	return true
}

func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if guidBytes[s[i]] != guidShape[i] {
			return false
		}
	}
	return true
}

// guidBytes tells what each byte may be in a GUID: 1 a digit, 2 a hyphen.
// guidShape says where.
var guidBytes, guidShape = func() (class [256]uint8, shape [36]uint8) {
	for c := range class {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'f' {
			class[c] = 1
		}
	}
	class['-'] = 2
	for i := range shape {
		shape[i] = 1
	}
	shape[8], shape[13], shape[18], shape[23] = 2, 2, 2, 2
	return class, shape
}()

// User is the person or machine client that a verified credential names. The
// zero value is nobody.
type User struct {
	Issuer   string // configured name of the issuer; "certificate" when a certificate named the user
	ID       string // stable key: tid/oid at Entra, iss|sub elsewhere; never a mail address
	Subject  string // sub
	ObjectID string // Entra oid
	Tenant   string // Entra tid
	Name     string // preferred_username or upn, for people; "" if the credential has none
	Email    string // display only

	Groups      []string
	GroupsKnown Tri // No: the token says that there are too many groups to list; Unknown: the credential carries none

	Client  string // azp, appid or client_id
	AppOnly bool   // a machine client: never satisfies `require user`

	ACR      string
	ACRs     []string // Entra acrs
	AMR      []string
	AuthTime int64 // unix seconds; 0 unknown

	// ClaimsChallenge is true if the client can answer an Entra claims
	// challenge (xms_cc contains cp1).
	ClaimsChallenge bool

	Claims map[string]any // verified claims, for CEL; nil without a token
}

// Known reports whether a credential named someone.
func (u *User) Known() bool { return u.ID != "" }

// DeviceRef is the device that the credentials of a request name.
type DeviceRef struct {
	Keys  []Key
	Proof Proof
}

// Known reports whether a credential named a device.
func (d *DeviceRef) Known() bool { return len(d.Keys) > 0 }

// Identity is who asks and from which device. It is immutable once built and
// shared by all requests with the same credentials.
type Identity struct {
	User   User
	Device DeviceRef
	// Expires is when the credential ends, unix seconds; 0 without one.
	Expires int64
	// Foreign is true if the request carried a certificate that is not ours.
	Foreign bool

	memo atomic.Pointer[memo] // the posture last built for this identity
}

// MemoOwner is the address that tells one directory's memos from another's: after
// a reload two directories with different sources serve side by side.
type MemoOwner struct {
	_ byte // so that every owner has an address of its own
}

type memo struct {
	owner   *MemoOwner
	posture *Posture
}

// Memo returns the posture that owner kept with SetMemo last, or nil. The caller
// must check its generation. It is safe for concurrent use and allocates nothing.
func (id *Identity) Memo(owner *MemoOwner) *Posture {
	if m := id.memo.Load(); m != nil && m.owner == owner {
		return m.posture
	}
	return nil
}

// SetMemo keeps p for owner and forgets any other.
func (id *Identity) SetMemo(owner *MemoOwner, p *Posture) { id.memo.Store(&memo{owner, p}) }
