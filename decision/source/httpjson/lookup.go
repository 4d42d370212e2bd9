package httpjson

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

var (
	errOther     = fmt.Errorf("%w: it is about another device", source.ErrUnusable)
	errNamesNone = errors.New("answer names no device id")
	errNoDevice  = errors.New("answer has none of the mapped fields: not a device, or the map is wrong")
)

// lookup asks for one device.
func (p *point) lookup(ctx context.Context, key decision.Key) (decision.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return decision.Verdict{}, err
	}
	device, err := p.ask(ctx, key)
	if err != nil {
		return decision.Verdict{}, fmt.Errorf("%s: %w", p.name, err)
	}
	return decision.Verdict{Device: device}, nil
}

func (p *point) ask(ctx context.Context, key decision.Key) (none decision.Device, err error) {
	// An id that the service cannot have, or that cannot be asked for, makes
	// that device unknown. It must not make the source look broken to others.
	if c, ok := decision.CanonicalKey(key.Kind, key.Value); !p.asks(key.Kind) || !ok || c != key || placeholder(key) {
		return none, fmt.Errorf("cannot be asked for this %s id: %w", key.Kind, source.ErrUnknownDevice)
	}
	address, ok := p.device.expand(map[string]string{"id": key.Value, "kind": key.Kind})
	if !ok {
		return none, fmt.Errorf("%s id has characters that the url cannot carry: %w", key.Kind, source.ErrUnknownDevice)
	}
	doc, err := p.client.get(ctx, address, &document{limit: p.maxBytes})
	switch {
	case errors.Is(err, errNotFound):
		return none, source.ErrUnknownDevice
	case err != nil:
		return none, err
	}
	found, ok := p.item.find(doc)
	if !ok {
		return none, fmt.Errorf("answer has nothing at %s", p.item)
	}
	var device decision.Device
	switch found := found.(type) {
	case nil:
		return none, source.ErrUnknownDevice
	case map[string]any:
		device, err = p.one(ctx, found, key)
	case []any:
		device, err = p.search(ctx, found, key)
	default:
		err = fmt.Errorf("answer has neither an object nor a list at %s", p.item)
	}
	if ctx.Err() != nil {
		return none, ctx.Err() // also what an interrupted expression calls failed
	}
	return device, err
}

// one reads an answer that is one device.
func (p *point) one(ctx context.Context, doc map[string]any, key decision.Key) (decision.Device, error) {
	r := p.mapping.read(ctx, doc, p.now())
	switch err := r.names(key); {
	case err != nil && !errors.Is(err, errNamesNone):
		return decision.Device{}, err
	case err != nil && len(r.Keys) == 0 && p.mapping.hasIDs():
		return decision.Device{}, err
	case err != nil && p.mapping.names(key.Kind):
		// Where the service names such ids, this one would name ours.
		return decision.Device{}, fmt.Errorf("%w: it names no %s id", source.ErrUnusable, key.Kind)
	case len(r.Keys) == 0 && !r.found:
		return decision.Device{}, errNoDevice
	case err != nil:
		r.Keys = append(r.Keys, key)
	}
	return r.Device, nil
}

// search picks the device from a search result. A service that does not know
// the parameter of our search lists everybody, so that only an id in the element
// itself can say which device it is about.
func (p *point) search(ctx context.Context, list []any, key decision.Key) (decision.Device, error) {
	if len(list) == 0 {
		return decision.Device{}, source.ErrUnknownDevice
	}
	var hit *reading
	err := errOther
	for _, el := range list {
		doc, ok := el.(map[string]any)
		if !ok {
			return decision.Device{}, errors.New("search result has an element that is no object")
		}
		if ctx.Err() != nil {
			return decision.Device{}, ctx.Err()
		}
		r := p.mapping.read(ctx, doc, p.now())
		switch e := r.names(key); {
		case errors.Is(e, errNamesNone):
			err = fmt.Errorf("search result names no %s id: map it", key.Kind)
		case e != nil:
		case hit != nil:
			return decision.Device{}, fmt.Errorf("%w: the search result has several devices with this %s id", source.ErrUnusable, key.Kind)
		default:
			hit = &r
		}
	}
	if hit == nil {
		return decision.Device{}, err
	}
	return hit.Device, nil
}

// names reports whether the map has ids of this kind.
func (m *mapping) names(kind string) bool {
	return slices.ContainsFunc(m.rules, func(r *rule) bool { return r.kind == kind })
}

// names checks that the device is the one asked for. The error is errNamesNone
// if it does not say anything about its id of that kind.
func (r *reading) names(key decision.Key) error {
	if slices.Contains(r.Keys, key) {
		return nil
	}
	if slices.Contains(r.broken, key.Kind) {
		return fmt.Errorf("answer has an unreadable %s id", key.Kind)
	}
	for _, k := range r.Keys {
		if k.Kind == key.Kind {
			return errOther
		}
	}
	return errNamesNone
}

// Kinds implements [source.KindLimited]: what the service is asked by, and what its
// answers name.
func (l looking) Kinds() []string {
	kinds := slices.Clone(l.kinds)
	for _, r := range l.mapping.rules {
		if r.kind != "" && !slices.Contains(kinds, r.kind) {
			kinds = append(kinds, r.kind)
		}
	}
	return kinds
}
