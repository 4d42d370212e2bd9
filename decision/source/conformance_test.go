package source_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/sourcetest"
)

// plain is the smallest source there can be.
type plain struct {
	devices []decision.Verdict
	down    atomic.Bool
}

func (p *plain) Facts() decision.FactSet { return decision.AllFacts }

func (p *plain) Lookup(ctx context.Context, key decision.Key) (decision.Verdict, error) {
	if err := p.ready(ctx); err != nil {
		return decision.Verdict{}, err
	}
	for _, v := range p.devices {
		for _, k := range v.Keys {
			if k == key {
				return v, nil
			}
		}
	}
	return decision.Verdict{}, source.ErrUnknownDevice
}

func (p *plain) ready(ctx context.Context) error {
	if p.down.Load() {
		return errors.New("down")
	}
	return ctx.Err()
}

// listing also lists its devices.
type listing struct{ plain }

func (l *listing) Sync(ctx context.Context, s *source.Sweep) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	for _, v := range l.devices {
		s.Device(v)
	}
	return nil
}

// mournful also keeps for an hour that a device was disabled or noncompliant.
type mournful struct{ listing }

func (*mournful) Tombstone(v *decision.Verdict) time.Duration {
	if v.Enabled != decision.No && v.Compliance != decision.NonCompliant {
		return 0
	}
	v.Device = decision.Device{Keys: v.Keys[:2], Enabled: v.Enabled, Compliance: v.Compliance}
	if v.Compliance != decision.NonCompliant {
		v.Compliance = decision.ComplianceUnknown
	}
	return time.Hour
}

// silent lists its devices and cannot be asked for one.
type silent struct{ l listing }

func (s *silent) Facts() decision.FactSet { return s.l.Facts() }

func (s *silent) Sync(ctx context.Context, to *source.Sweep) error { return s.l.Sync(ctx, to) }

// TestConformance shows that the suite accepts sources that keep the contract.
func TestConformance(t *testing.T) {
	t.Run("lookup", func(t *testing.T) {
		sourcetest.Run(t, func(_ *testing.T, devices []decision.Verdict) sourcetest.Fixture {
			p := &plain{devices: devices}
			return sourcetest.Fixture{
				Source: p, Break: func() { p.down.Store(true) },
				Change: func(devices []decision.Verdict) { p.devices = devices },
			}
		})
	})
	t.Run("sync", func(t *testing.T) {
		sourcetest.Run(t, func(_ *testing.T, devices []decision.Verdict) sourcetest.Fixture {
			l := &listing{plain{devices: devices}}
			return sourcetest.Fixture{
				Source: l, Break: func() { l.down.Store(true) },
				Change: func(devices []decision.Verdict) { l.devices = devices },
			}
		})
	})
	t.Run("sync, with tombstones", func(t *testing.T) {
		sourcetest.Run(t, func(_ *testing.T, devices []decision.Verdict) sourcetest.Fixture {
			l := &mournful{listing{plain{devices: devices}}}
			return sourcetest.Fixture{
				Source: l, Break: func() { l.down.Store(true) },
				Change: func(devices []decision.Verdict) { l.devices = devices },
			}
		})
	})
	t.Run("sync alone", func(t *testing.T) {
		sourcetest.Run(t, func(_ *testing.T, devices []decision.Verdict) sourcetest.Fixture {
			s := &silent{listing{plain{devices: devices}}}
			return sourcetest.Fixture{
				Source: s, Break: func() { s.l.down.Store(true) },
				Change: func(devices []decision.Verdict) { s.l.devices = devices },
			}
		})
	})
}
