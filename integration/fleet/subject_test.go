package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// subject is a device of a test, about which one fact changes.
type subject struct {
	*emulator.Device
	fact  *fact
	good  bool
	token string
}

// open starts a stage with n devices for each fact. Every second one is bad.
func (e *evidence) open(t *testing.T, poll, maxAge time.Duration, n int) (*stage, []*subject) {
	t.Helper()
	var subjects []*subject
	var policies strings.Builder
	for i := range e.facts {
		fmt.Fprintf(&policies, "policy %s {\n\trequire %s\n\tmax_age %s\n}\n", e.facts[i].name, e.facts[i].require, maxAge)
		for range n {
			subjects = append(subjects, &subject{fact: &e.facts[i], good: len(subjects)%2 == 0})
		}
	}
	s := open(t, options{
		Sources: strings.ReplaceAll(e.source, "{poll}", poll.String()), Kind: e.kind, Policies: policies.String(),
		Before: func(s *stage) {
			for i, x := range subjects {
				x.Device = s.another(x.fact.like, i)
				s.turn(x, x.good)
			}
		},
	})
	for _, x := range subjects {
		x.token = s.token(x.Device)
		if e.kind == "intune" {
			x.token = s.issuer.Token(rig.Claims{"deviceid": x.Managed[0].ID.String()})
		}
		rig.Eventually(t, time.Minute, "the first verdict about "+x.Name, func() bool { return s.shows(x, x.good) })
	}
	return s, subjects
}

// another adds a device that is like a telling one and has ids of its own.
func (s *stage) another(like string, n int) (d *emulator.Device) {
	original := s.device(like)
	s.tenant.Update(func(f *emulator.Fleet) {
		d = &emulator.Device{
			EntraID: emulator.MustGUID(fmt.Sprintf("88888888-1111-4111-8111-%012x", n)), OS: original.OS, OSVersion: original.OSVersion,
			User: &emulator.User{UPN: fmt.Sprintf("subject%d@example.com", n), Enabled: true},
		}
		if o := original.Directory; o != nil {
			d.Directory = &emulator.Directory{ // by fields: the emulator remembers in it what it said of the original
				Enabled: o.Enabled, Compliant: o.Compliant, Managed: o.Managed, MDMApp: o.MDMApp, Rooted: o.Rooted, TrustType: o.TrustType,
				Ownership: o.Ownership, Registered: o.Registered, LastSignIn: o.LastSignIn, ComplianceExpires: o.ComplianceExpires,
			}
		}
		for _, o := range original.Managed {
			c := *o
			c.ID = emulator.GUID{}
			d.Managed = append(d.Managed, &c)
		}
		for _, o := range original.Machines {
			c := *o
			c.ID = ""
			d.Machines = append(d.Machines, &c)
		}
		if o := original.ConfigMgr; o != nil {
			c := *o
			c.ID, c.SMSID, c.SID = 0, emulator.GUID{}, ""
			d.ConfigMgr = &c
		}
		f.AddDevice(d)
	})
	return d
}

// turn changes what the tenant says of a device.
func (s *stage) turn(x *subject, good bool) {
	x.good = good
	s.tenant.Update(func(*emulator.Fleet) { x.fact.set(x.Device, good) })
}

// shows reports whether a request from the device gets what its verdict deserves.
func (s *stage) shows(x *subject, good bool) bool {
	status, reasons := s.ask(x.fact.name, x.token)
	if good {
		return status == 200
	}
	return status == 403 && slices.Equal(reasons, []string{x.fact.reason})
}
