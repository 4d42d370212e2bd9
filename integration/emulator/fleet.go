package emulator

import "strings"

// Fleet is the content of the services. It is only valid inside [Server.Update].
type Fleet struct {
	Settings   Settings
	Connectors []*Connector

	devices []*Device // by slot; nil: removed
	users   []*User
	byEntra map[GUID]int32
	byObj   map[GUID]int32
	byMDM   map[GUID]int32 // every Managed.ID and NAC.ID
	byMDE   map[string]int32
	byOID   map[GUID]int32
	byUPN   map[string]int32
	byCM    map[int]int32

	maker *maker
	stale bool // indexes must be made anew
}

// Len is the number of devices.
func (f *Fleet) Len() int { return len(f.all()) }

func (f *Fleet) all() []*Device {
	list := make([]*Device, 0, len(f.devices))
	for _, d := range f.devices {
		if d != nil {
			list = append(list, d)
		}
	}
	return list
}

// At is the device with number i of the fleet as generated; nil when removed.
func (f *Fleet) At(i int) *Device {
	if i < 0 || i >= len(f.devices) {
		return nil
	}
	return f.devices[i]
}

// Device finds a device by its Entra device id, Intune id or name; nil: none.
func (f *Fleet) Device(id string) *Device {
	if g, err := ParseGUID(id); err == nil {
		if i, ok := f.byEntra[g]; ok {
			return f.devices[i]
		}
		if i, ok := f.byMDM[g]; ok {
			return f.devices[i]
		}
		return nil
	}
	for _, d := range f.devices {
		if d != nil && strings.EqualFold(d.Name, id) {
			return d
		}
	}
	return nil
}

// User finds a user by object id or user principal name; nil: none.
func (f *Fleet) User(id string) *User {
	if g, err := ParseGUID(id); err == nil {
		if i, ok := f.byOID[g]; ok {
			return f.users[i]
		}
		return nil
	}
	if i, ok := f.byUPN[strings.ToLower(id)]; ok {
		return f.users[i]
	}
	return nil
}

// AddDevice puts a device into the fleet. A nil d makes a healthy Windows laptop
// that is joined to the directory and managed by Intune. Fields that identify it and
// are zero get values.
func (f *Fleet) AddDevice(d *Device) *Device {
	if d == nil {
		d = &Device{}
		f.maker.laptop(d)
	}
	f.place(d)
	f.stale = true
	return d
}

// place gives the device and its user their slots.
func (f *Fleet) place(d *Device) {
	d.slot = int32(len(f.devices))
	f.maker.complete(d)
	f.devices = append(f.devices, d)
	if d.User != nil && (int(d.User.slot) >= len(f.users) || f.users[d.User.slot] != d.User) {
		f.placeUser(d.User)
	}
}

// RemoveDevice takes a device out of every service.
func (f *Fleet) RemoveDevice(d *Device) {
	if f.At(int(d.slot)) == d {
		f.devices[d.slot] = nil
		f.stale = true
	}
}

// AddUser puts a user into the directory. A nil u makes an enabled one.
func (f *Fleet) AddUser(u *User) *User {
	if u == nil {
		u = f.maker.user()
	}
	f.placeUser(u)
	f.stale = true
	return u
}

func (f *Fleet) placeUser(u *User) {
	if u.OID.IsZero() {
		u.OID = f.maker.guid()
	}
	u.slot = int32(len(f.users))
	f.users = append(f.users, u)
}

// RemoveUser takes a user out of the directory.
func (f *Fleet) RemoveUser(u *User) {
	if int(u.slot) < len(f.users) && f.users[u.slot] == u {
		f.users[u.slot] = nil
		f.stale = true
	}
}

// reindex makes the lookup tables anew.
func (f *Fleet) reindex() {
	n := len(f.devices)
	f.byEntra, f.byObj, f.byMDM = make(map[GUID]int32, n), make(map[GUID]int32, n), make(map[GUID]int32, n)
	f.byMDE, f.byCM = make(map[string]int32, n), make(map[int]int32)
	for _, d := range f.devices {
		if d != nil {
			f.index(d)
		}
	}
	f.byOID, f.byUPN = make(map[GUID]int32, len(f.users)), make(map[string]int32, len(f.users))
	for i, u := range f.users {
		if u != nil {
			f.byOID[u.OID], f.byUPN[strings.ToLower(u.UPN)] = int32(i), int32(i)
		}
	}
	f.stale = false
}

func (f *Fleet) index(d *Device) {
	if !d.EntraID.IsZero() {
		f.byEntra[d.EntraID] = d.slot
	}
	if d.Directory != nil {
		f.byObj[d.Directory.ObjectID] = d.slot
	}
	for _, m := range d.Managed {
		f.byMDM[m.ID] = d.slot
	}
	if d.NAC != nil {
		f.byMDM[d.NAC.ID] = d.slot
	}
	for _, m := range d.Machines {
		f.byMDE[m.ID] = d.slot
	}
	if d.ConfigMgr != nil {
		f.byCM[d.ConfigMgr.ID] = d.slot
	}
}

// mac is the device's network address: its own, or one that follows from its id.
func (d *Device) mac() string {
	if d.MAC != "" {
		return d.MAC
	}
	const digits = "0123456789ABCDEF"
	b := []byte("02")
	for _, x := range d.EntraID[11:] {
		b = append(b, digits[x>>4], digits[x&15])
	}
	return string(b)
}

// sid is the on-premises security identifier of a device number.
func sid(n int) string { return "S-1-5-21-1004336348-1177238915-682003330-" + itoa(10000+n) }
