package emulator

import (
	"hash/maphash"
	"sort"
	"time"
)

const (
	maxChanges = 200_000
	tokenLife  = 7 * 24 * time.Hour // of delta tokens for directory objects
	smallFleet = 5000               // larger ones trade exactness for speed, see below
)

// seenRecord is what an Intune record said when the services last looked.
type seenRecord struct {
	compliance, posture uint32 // fingerprints
	sync                int64  // Unix time in nanoseconds
	copied              NullBool
	known               bool
}

// directoryPrint remembers what the delta answered last of a directory object. The
// sum is cheap and tells that something changed. The prints of each field tell what;
// in a large fleet they are made at an object's first change, and that change shows
// every field, as the service may.
type directoryPrint struct {
	sum    uint64
	fields []uint16
}

// deviceKey holds everything that the device fields of the directory are made of.
type deviceKey struct {
	name, os, version, trust, owner, sid, key, app string
	entra, object                                  GUID
	enabled                                        NullBool
	compliant, managed, rooted                     NullBool
	registered, signIn, expires                    int64
}

type userKey struct {
	oid       GUID
	upn, name string
	enabled   bool
}

var printSeed = maphash.MakeSeed()

func (d *Device) sum() uint64 {
	x := d.Directory
	return maphash.Comparable(printSeed, deviceKey{
		d.Name, d.OS, d.OSVersion, x.TrustType, x.Ownership, x.OnPremisesSID, x.CertificateKey, x.MDMApp, d.EntraID, x.ObjectID, accountEnabled(row{d: d}),
		x.Compliant, x.Managed, x.Rooted, x.Registered.UnixNano(), x.LastSignIn.UnixNano(), x.ComplianceExpires.UnixNano(),
	})
}

func (u *User) sum() uint64 {
	return maphash.Comparable(printSeed, userKey{u.OID, u.UPN, u.DisplayName, u.Enabled})
}

// change is one entry of a delta: an object, which of its fields changed, or that it
// is gone.
type change struct {
	seq     uint64
	at      time.Time
	id      GUID
	slot    int32
	mask    uint32
	removed string // reason; empty: changed
}

// changeLog is the history of one kind of directory object.
type changeLog struct {
	ids   []GUID // by slot, as last answered
	log   []change
	seq   uint64
	floor uint64 // tokens below this are too old
}

type changes struct{ devices, users changeLog }

func (c *changes) init(f *Fleet) {
	c.record(f, time.Time{})
	c.devices.log, c.users.log = nil, nil
	c.devices.floor, c.users.floor = c.devices.seq, c.users.seq
}

// record notes what changed since the last time and lets the services act on it.
func (c *changes) record(f *Fleet, now time.Time) {
	exact := len(f.devices) <= smallFleet || !now.IsZero()
	f.stale = f.stale || len(f.devices) <= smallFleet
	for i, d := range f.devices {
		var id GUID
		if d != nil {
			f.settle(d, now)
			if d.Directory != nil {
				id = d.Directory.ObjectID
			}
		}
		reason := "deleted"
		if i%2 == 1 {
			reason = "changed" // soft-deleted
		}
		f.stale = c.devices.identity(i, id, now, reason) || f.stale
		if !id.IsZero() {
			c.devices.note(change{id: id, slot: int32(i), at: now, mask: d.Directory.print.update(d.sum(), exact, deviceFields.fields, row{d: d})})
		}
	}
	for i, u := range f.users {
		var id GUID
		if u != nil {
			id = u.OID
		}
		f.stale = c.users.identity(i, id, now, "changed") || f.stale
		if u != nil {
			c.users.note(change{id: id, slot: int32(i), at: now, mask: u.print.update(u.sum(), exact, userFields.fields, row{u: u})})
		}
	}
	c.devices.trim(now)
	c.users.trim(now)
}

// identity notes that the object in a slot is gone, when it is another one now.
func (l *changeLog) identity(slot int, id GUID, now time.Time, reason string) bool {
	for slot >= len(l.ids) {
		l.ids = append(l.ids, GUID{})
	}
	old := l.ids[slot]
	if old == id {
		return false
	}
	l.ids[slot] = id
	if !old.IsZero() {
		l.note(change{id: old, slot: int32(slot), at: now, mask: ^uint32(0), removed: reason})
	}
	return true
}

// note appends to the log what has something to say.
func (l *changeLog) note(c change) {
	if c.mask == 0 {
		return
	}
	l.seq++
	c.seq = l.seq
	l.log = append(l.log, c)
}

// trim forgets what no valid token can ask for.
func (l *changeLog) trim(now time.Time) {
	n := sort.Search(len(l.log), func(i int) bool { return now.Sub(l.log[i].at) <= tokenLife })
	n = max(n, len(l.log)-maxChanges)
	if n > 0 {
		l.floor = l.log[n-1].seq
		l.log = append([]change(nil), l.log[n:]...)
	}
}

// after are the entries that follow seq.
func (l *changeLog) after(seq uint64) []change {
	return l.log[sort.Search(len(l.log), func(i int) bool { return l.log[i].seq > seq }):]
}

// update takes in the present state and answers a bit per field that differs from
// the last one. exact: remember each field.
func (p *directoryPrint) update(sum uint64, exact bool, fields []field, r row) (mask uint32) {
	if sum == p.sum {
		return 0
	}
	p.sum = sum
	all := uint32(1)<<len(fields) - 1
	if !exact {
		return all
	}
	if p.fields == nil {
		p.fields = make([]uint16, len(fields))
		mask = all
	}
	var buf [256]byte
	for i := range fields {
		h := fingerprint(fields[i].json(buf[:0], r))
		if x := uint16(h ^ h>>16); p.fields[i] != x {
			p.fields[i] = x
			mask |= 1 << i
		}
	}
	if mask == 0 { // two values with one fingerprint
		return all
	}
	return mask
}

const fnvBasis = uint32(2166136261)

// fnv is FNV-1a.
func fnv[T string | []byte](h uint32, text T) uint32 {
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return (h ^ 0xff) * 16777619 // texts one after another do not run together
}

func fingerprint(b []byte) uint32 { return fnv(fnvBasis, b) }

// settle gives new records their identifiers and does what follows from a change of
// an Intune record.
func (f *Fleet) settle(d *Device, now time.Time) {
	fresh := false
	for _, m := range d.Managed {
		fresh = fresh || m.ID.IsZero() || !m.seen.known
	}
	for _, x := range d.Machines {
		fresh = fresh || x.ID == ""
	}
	if fresh || d.Directory != nil && d.Directory.ObjectID.IsZero() || d.ConfigMgr != nil && d.ConfigMgr.ID == 0 {
		f.maker.complete(d)
		f.stale = true
	}
	for _, m := range d.Managed {
		m.settle(d, now)
	}
}

func (m *Managed) settle(d *Device, now time.Time) {
	h := fnvBasis
	for _, text := range [...]string{m.Compliance, m.JailBroken, m.PatchLevel, d.OSVersion, NullBoolOf(m.Encrypted).String()} {
		h = fnv(h, text)
	}
	next := seenRecord{compliance: fnv(fnvBasis, m.Compliance), posture: h, known: true}
	if s := m.seen; s.known {
		if next.posture != s.posture && m.LastSync.UnixNano() == s.sync {
			m.LastSync = now.Truncate(100 * time.Nanosecond)
		}
		if next.compliance != s.compliance && d.Directory != nil && d.Directory.Compliant == s.copied {
			switch m.Compliance {
			case "compliant", "inGracePeriod": // a device in grace is compliant to the directory
				d.Directory.Compliant = True
			case "noncompliant", "conflict", "error":
				d.Directory.Compliant = False
			}
		}
	}
	next.sync = m.LastSync.UnixNano()
	if d.Directory != nil {
		next.copied = d.Directory.Compliant
	}
	m.seen = next
}
