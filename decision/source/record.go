package source

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Limits of one record. What identifies or owns a device is refused beyond
// them; what is only shown to people is cut.
const (
	MaxKeys   = 16  // ids of one device
	maxString = 256 // bytes of any one string
	maxKinds  = 127 // different kinds of id in one table
)

// The packed form of a row, behind its length: the ids, then everything that is
// not in the word of facts. A reader that meets the end early leaves the rest
// zero, so fields may be added at the end without a new format.
//
//	ids:      count, then for each: kind (bit 7: GUID), 16 bytes or a string
//	then:     name, model, version, owner id, owner name, grace, check-in,
//	          evaluation, settings
//	tail:     see [tail]; of each only as many members as are not zero
//	string:   length as uvarint, bytes
//	word:     0 and a string, or the place among the interned strings plus 1
//	id:       0 empty; 1 and 16 bytes; 2 and a string
//	time:     seconds since 1970 as varint; 0 unknown
const guidFlag = 0x80

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendID(b []byte, s string) []byte {
	var g [16]byte
	switch {
	case s == "":
		return append(b, 0)
	case parseGUID(s, &g):
		return append(append(b, 1), g[:]...)
	}
	return appendString(append(b, 2), s)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	s := t.Unix()
	if s == 0 {
		s = 1 // 1970-01-01 is a known time
	}
	return binary.AppendVarint(b, s)
}

// cursor reads the packed form. Reading past the end yields zero values and
// marks the cursor.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.b, c.short = nil, true
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.b, c.short = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes() []byte  { return c.take(c.uvarint()) }
func (c *cursor) string() string { return string(c.bytes()) }

func (c *cursor) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) time() time.Time {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.b, c.short = nil, true
		return time.Time{}
	}
	c.b = c.b[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(v, 0).UTC()
}

func (c *cursor) id() string {
	switch c.byte() {
	case 1:
		if b := c.take(16); b != nil {
			return formatGUID([16]byte(b))
		}
	case 2:
		return c.string()
	}
	return ""
}

func (c *cursor) word(interned []string) string {
	i := c.uvarint()
	if i == 0 {
		return c.string()
	}
	if i > uint64(len(interned)) {
		c.short = true
		return ""
	}
	return interned[i-1]
}

// device reads the ids and everything behind them, but the tail.
func (c *cursor) device(d *decision.Device, kinds, interned []string) {
	n := c.byte()
	if n > MaxKeys {
		c.b, c.short = nil, true
		return
	}
	d.Keys = make([]decision.Key, 0, n)
	for range n {
		k, value, guid := c.key()
		if int(k) >= len(kinds) {
			c.b, c.short, d.Keys = nil, true, nil
			return
		}
		key := decision.Key{Kind: kinds[k]}
		if guid && value != nil {
			key.Value = formatGUID([16]byte(value))
		} else {
			key.Value = string(value)
		}
		d.Keys = append(d.Keys, key)
	}
	d.Name, d.Model = c.string(), c.word(interned)
	for i := range d.OSVersion {
		d.OSVersion[i] = uint32(c.uvarint())
	}
	d.OwnerID, d.OwnerUPN = c.id(), c.string()
	d.GraceUntil, d.LastCheckIn, d.EvaluatedAt = c.time(), c.time(), c.time()
	settings := min(int(c.byte()), decision.MaxSettings)
	for range settings {
		d.Settings = append(d.Settings, decision.Setting{
			Name: c.word(interned), Policy: c.word(interned), State: c.word(interned),
		})
	}
}

// tail is what few rows have, behind everything else.
type tail struct {
	unreadable decision.FactSet // uvarint
	// Of a tombstone: since when the source does not have the device, and until
	// when its last word counts. Times.
	gone, until time.Time
	// Uvarints, in a snapshot alone: see [Table]. Without said what is kept hides nothing.
	kept uint32
	said uint64
}

func (l tail) appendTo(b []byte) []byte {
	ended, kept := !l.until.IsZero(), l.kept != 0
	if l.unreadable != 0 || ended || kept {
		b = binary.AppendUvarint(b, uint64(l.unreadable))
	}
	if ended || kept {
		b = appendTime(appendTime(b, l.gone), l.until)
	}
	if kept {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(l.kept)), l.said)
	}
	return b
}

// tail reads what is left of a row.
func (c *cursor) tail() (l tail) {
	if len(c.b) > 0 {
		l.unreadable = decision.FactSet(c.uvarint()) & decision.AllFacts
	}
	if len(c.b) > 0 {
		l.gone, l.until = c.time(), c.time()
	}
	if len(c.b) > 0 {
		l.kept = uint32(c.uvarint())
	}
	if len(c.b) > 0 {
		l.said = c.uvarint()
	}
	return l
}

// key reads one id without copying it.
func (c *cursor) key() (kind byte, value []byte, guid bool) {
	kind = c.byte()
	if kind&guidFlag != 0 {
		return kind &^ guidFlag, c.take(16), true
	}
	return kind, c.bytes(), false
}

// The byte of facts of a user: two bits of enabled, two of compromised, three of the
// risk and one that says that it is a floor. What cannot be read is a fourth value of
// enabled, and a floor of an unknown risk.
const (
	unreadableTri = 3
	userFloor     = 1 << 7
)

// appendUser writes one user: a byte of facts, the id, the name.
func appendUser(b []byte, u *decision.UserRecord) []byte {
	facts := byte(known(u.Enabled)) | byte(known(u.Compromised))<<2
	if u.Enabled == decision.Unknown && u.Unreadable.Has(decision.FactUserEnabled) {
		facts |= unreadableTri
	}
	risk := u.Risk
	if risk > decision.LevelCompromised {
		risk = decision.LevelUnknown
	}
	facts |= byte(risk) << 4
	if u.Unreadable.Has(decision.FactUserRisk) || u.RiskFloor && risk != decision.LevelUnknown {
		facts |= userFloor
	}
	return appendString(appendID(append(b, facts), u.ObjectID), u.UPN)
}

func (c *cursor) user() decision.UserRecord {
	u := userFacts(c.byte())
	u.ObjectID, u.UPN = c.id(), c.string()
	return u
}

// userFacts reads the byte of facts of a user.
func userFacts(f byte) (u decision.UserRecord) {
	u.Enabled, u.Compromised = known(decision.Tri(f&3)), known(decision.Tri(f>>2&3))
	if f&3 == unreadableTri {
		u.Unreadable |= decision.Facts(decision.FactUserEnabled)
	}
	if u.Risk = decision.Level(f >> 4 & 7); u.Risk > decision.LevelCompromised {
		u.Risk = decision.LevelUnknown
	}
	switch floor := f&userFloor != 0; {
	case floor && u.Risk == decision.LevelUnknown:
		u.Unreadable |= decision.Facts(decision.FactUserRisk)
	case floor:
		u.RiskFloor = true
	}
	return u
}

func known(t decision.Tri) decision.Tri {
	if t > decision.No {
		return decision.Unknown
	}
	return t
}

// parseGUID reads the canonical form, lower case with hyphens, only: what it
// accepts, formatGUID restores exactly.
func parseGUID(s string, g *[16]byte) bool {
	if len(s) != 36 {
		return false
	}
	n := 0
	for i := 0; i < 36; {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
			i++
			continue
		}
		hi, lo := nibble(s[i]), nibble(s[i+1])
		if hi > 15 || lo > 15 {
			return false
		}
		g[n] = hi<<4 | lo
		n, i = n+1, i+2
	}
	return true
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

func formatGUID(g [16]byte) string {
	var b [36]byte
	hex.Encode(b[:8], g[:4])
	hex.Encode(b[9:13], g[4:6])
	hex.Encode(b[14:18], g[6:8])
	hex.Encode(b[19:23], g[8:10])
	hex.Encode(b[24:], g[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// checkDevice refuses what must not enter a table.
func checkDevice(d *decision.Device) error {
	if len(d.Keys) == 0 {
		return fmt.Errorf("device has no id")
	}
	if len(d.Keys) > MaxKeys {
		return fmt.Errorf("device has %d ids, more than %d", len(d.Keys), MaxKeys)
	}
	for _, k := range d.Keys {
		if c, ok := decision.CanonicalKey(k.Kind, k.Value); !ok || c != k || k.Kind == "" {
			return fmt.Errorf("device id of kind %q is not canonical", k.Kind)
		}
	}
	if len(d.OwnerID) > maxString || len(d.OwnerUPN) > maxString {
		return fmt.Errorf("device owner is longer than %d bytes", maxString)
	}
	return nil
}
