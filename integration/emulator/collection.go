package emulator

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// collection is one kind of entity that a service lists.
type collection struct {
	entity      string // type name for messages
	context     string // the part of @odata.context after $metadata#
	fields      []field
	page        int  // rows of a page without $top
	maxTop      int  // largest $top
	counts      bool // Intune: @odata.count is the number of rows in this page
	needsSelect bool // a client must send $select
	// advanced: ne, not, endswith and $count need ConsistencyLevel: eventual
	advanced bool
	anyOr    bool // or between different properties is allowed
	quoted   bool // identifiers are text literals in $filter
	noOr     bool // $filter knows no or
	skips    bool // pages by $skip instead of links
	notFound bool // an empty list is 404

	// each yields the rows from key on, in order; a key is stable while a client pages.
	each func(f *Fleet, from int64, yield func(key int64, r row) bool)
	// direct finds rows by an indexed property that $filter compares with eq.
	direct map[string]func(f *Fleet, s string) []row

	byName map[string]*field
}

// maxRecords is how many records of one kind a device can have; part of row keys.
const maxRecords = 16

func (c *collection) field(name string, beta bool) *field {
	f := c.byName[name]
	if f == nil || f.beta && !beta {
		return nil
	}
	return f
}

// ready makes the table of names.
func (c *collection) ready() *collection {
	c.byName = make(map[string]*field, len(c.fields))
	for i := range c.fields {
		c.byName[c.fields[i].name] = &c.fields[i]
	}
	return c
}

// selection is the fields that $select names; all of them without one.
func (c *collection) selection(names string, beta bool) (fields []*field, unknown string) {
	if names == "" || names == "*" {
		for i := range c.fields {
			if beta || !c.fields[i].beta {
				fields = append(fields, &c.fields[i])
			}
		}
		return fields, ""
	}
	for name := range strings.SplitSeq(names, ",") {
		f := c.field(strings.TrimSpace(name), beta)
		if f == nil {
			return nil, name
		}
		fields = append(fields, f)
	}
	return fields, ""
}

// eachDevice makes an each function over the records that n counts per device.
func eachDevice(n func(d *Device) int) func(*Fleet, int64, func(int64, row) bool) {
	return func(f *Fleet, from int64, yield func(int64, row) bool) {
		for i := int(from / maxRecords); i < len(f.devices); i++ {
			d := f.devices[i]
			if d == nil {
				continue
			}
			for j := range min(n(d), maxRecords) {
				key := int64(i)*maxRecords + int64(j)
				if key >= from && !yield(key, row{d: d, n: j}) {
					return
				}
			}
		}
	}
}

// eachUser makes an each function over the users to keep.
func eachUser(keep func(u *User) bool) func(*Fleet, int64, func(int64, row) bool) {
	return func(f *Fleet, from int64, yield func(int64, row) bool) {
		for i := int(from / maxRecords); i < len(f.users); i++ {
			if u := f.users[i]; u != nil && keep(u) && !yield(int64(i)*maxRecords, row{u: u}) {
				return
			}
		}
	}
}

// rowsOf are the records of one device as rows.
func rowsOf(d *Device, n int) []row {
	list := make([]row, n)
	for i := range list {
		list[i] = row{d: d, n: i}
	}
	return list
}

// byEntraID finds the records of the device with an Entra id.
func byEntraID(n func(d *Device) int) func(f *Fleet, s string) []row {
	return func(f *Fleet, s string) []row {
		g, err := ParseGUID(s)
		i, ok := f.byEntra[g]
		if err != nil || !ok {
			return nil
		}
		return rowsOf(f.devices[i], n(f.devices[i]))
	}
}

// skipToken is opaque to clients: its inside may change.
func skipToken(key int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte("row:" + strconv.FormatInt(key, 10)))
}

func parseSkipToken(s string) (int64, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	text, ok := strings.CutPrefix(string(b), "row:")
	if err != nil || !ok {
		return 0, false
	}
	key, err := strconv.ParseInt(text, 10, 64)
	return key, err == nil && key >= 0
}
