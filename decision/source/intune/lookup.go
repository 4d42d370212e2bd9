package intune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Lookup implements [source.Looker]. It asks Intune for one device by Intune id,
// Entra device id or serial number; Intune has no other ids. The reasons of a
// noncompliant device are those that the last Sync knew.
func (s *Source) Lookup(ctx context.Context, key decision.Key) (decision.Verdict, error) {
	v, err := s.lookup(ctx, key)
	if err != nil {
		return decision.Verdict{}, fmt.Errorf("intune: %s %s: %w", key.Kind, key.Value, err)
	}
	return v, nil
}

func (s *Source) lookup(ctx context.Context, key decision.Key) (v decision.Verdict, err error) {
	if err := ctx.Err(); err != nil {
		return v, err
	}
	if k, ok := decision.CanonicalKey(key.Kind, key.Value); !ok || k != key {
		return v, source.ErrUnknownDevice // nothing that Intune could have
	}
	own := s.decoder()
	d := &own
	defer func() { s.addOdd(d) }()
	if err := s.adopt(ctx, d.now); err != nil {
		return v, err
	}
	s.firstConnectors(ctx, d)
	switch key.Kind {
	case decision.KindIntune:
		v, err = s.byID(ctx, d, key)
	case decision.KindEntra:
		v, err = s.byFilter(ctx, d, key, "azureADDeviceId")
	case decision.KindSerial:
		v, err = s.bySerial(ctx, d, key)
	default:
		return v, source.ErrUnknownDevice
	}
	if errors.Is(err, source.ErrUnknownDevice) {
		s.noteGone(key)
	}
	if err != nil {
		return v, err
	}
	if err := s.proveNow(ctx, &v, d.now); err != nil {
		return v, err
	}
	return v, s.learn(&v, d)
}

func (s *Source) byID(ctx context.Context, d *decoder, key decision.Key) (v decision.Verdict, err error) {
	a, err := s.o.Client.Do(ctx, singleRequest(key.Value, "High"))
	if nothingThere(err) {
		return v, source.ErrUnknownDevice
	}
	if err != nil {
		return v, err
	}
	v, err = d.decode(a.Body)
	if err == nil && v.Keys[0] != key {
		err = fmt.Errorf("%w: it is about another device", source.ErrUnusable)
	}
	return v, err
}

// byFilter asks for the devices with an id and returns the newest record. A
// device that is not enrolled is an empty list.
func (s *Source) byFilter(ctx context.Context, d *decoder, key decision.Key, property string) (best decision.Verdict, err error) {
	r := listRequest(property + " eq '" + strings.ReplaceAll(key.Value, "'", "''") + "'")
	r.Priority = "High"
	var found []decision.Verdict
	_, err = s.o.Client.Pages(ctx, r, func(raw json.RawMessage) error {
		v, err := d.decode(raw)
		switch {
		case err != nil:
			return err
		case !slices.Contains(v.Keys, key):
			return fmt.Errorf("%w: it is about another device", source.ErrUnusable)
		case len(found) == maxSame:
			return fmt.Errorf("%w: too many records", source.ErrUnusable)
		}
		found = append(found, v)
		return nil
	})
	if err != nil {
		return best, err
	}
	if len(found) == 0 {
		return best, source.ErrUnknownDevice
	}
	for i := range found {
		if i == 0 || better(&found[i], &best) {
			best = found[i]
		}
	}
	if key.Kind == decision.KindSerial && severalDevices(found) {
		return best, fmt.Errorf("%w: the serial number belongs to several devices", source.ErrUnusable)
	}
	return best, nil
}

// maxEarly bounds the records that look-ups bring before the first listing.
const maxEarly = 10_000

// maxSame bounds the records of one device that a look-up reads.
const maxSame = 100

// severalDevices reports whether records are about more than one device: the
// records of one have the same Entra id.
func severalDevices(list []decision.Verdict) bool {
	entra := func(v *decision.Verdict) string {
		for _, k := range v.Keys {
			if k.Kind == decision.KindEntra {
				return k.Value
			}
		}
		return v.Keys[0].Value
	}
	for i := range list {
		if entra(&list[i]) != entra(&list[0]) {
			return true
		}
	}
	return false
}

// bySerial asks for a serial number. Intune may compare its spelling exactly, so
// an id that the last listing tells is the better question.
func (s *Source) bySerial(ctx context.Context, d *decoder, key decision.Key) (v decision.Verdict, err error) {
	if placeholder(key.Value) {
		return v, source.ErrUnknownDevice
	}
	v, err = s.byFilter(ctx, d, key, "serialNumber")
	if !errors.Is(err, source.ErrUnknownDevice) {
		return v, err
	}
	s.mu.Lock()
	known, ok := s.fleet.with(key)
	s.mu.Unlock()
	if !ok {
		return v, err
	}
	if v, err = s.byID(ctx, d, known.Keys[0]); err == nil && !slices.Contains(v.Keys, key) {
		err = source.ErrUnknownDevice
	}
	return v, err
}

// noteGone asks for a complete listing if Intune no longer has what is listed:
// only that removes a device. Of a watched record it asks once.
func (s *Source) noteGone(key decision.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.fleet.with(key); ok && s.watched.missing(v.Keys[0].Value) {
		s.fullDue = true
	}
}

// learn joins a record with what is known and keeps it, so that the next sweep
// does not fall behind the look-up.
func (s *Source) learn(v *decision.Verdict, d *decoder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assess(v, d.now)
	known := &s.fleet
	if s.lastFull.IsZero() { // nothing is listed yet
		known = &s.early
	}
	for _, k := range v.Keys[1:] {
		if k.Kind != decision.KindEntra {
			continue
		}
		if other, ok := known.with(k); ok && other.Keys[0] != v.Keys[0] && better(&other, v) {
			// The sweeps leave it out too: it must not speak for the device.
			return fmt.Errorf("record was replaced by a newer enrolment: %w", source.ErrUnknownDevice)
		}
	}
	kept := *v
	kept.Keys = slices.Clone(v.Keys)
	if s.lastFull.IsZero() {
		if len(s.early.over) < maxEarly {
			s.early.put(kept)
		}
		return nil
	}
	if s.fleet.put(kept) {
		s.dirty = true
	}
	if s.during != nil {
		s.during[kept.Keys[0]] = &kept
	}
	return nil
}
