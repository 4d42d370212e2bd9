package httpjson

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// maxDeviceBody bounds the answer about one device: many look-ups may be under
// way at once.
const maxDeviceBody = 4 << 20

// newPoint checks everything that can be checked without calling the service.
func newPoint(o *Options) (*point, error) {
	if o.URL == "" && o.ListURL == "" {
		return nil, errors.New("url of one device or of the list is needed")
	}
	if o.Timeout < 0 || o.MaxBody < 0 || o.MaxPages < 0 || o.FirstPage < 0 {
		return nil, errors.New("limit is negative")
	}
	m, err := newMapping(o.Map)
	if err != nil {
		return nil, err
	}
	p := &point{name: o.Name, mapping: m, now: o.Now, kinds: slices.Clone(o.Kinds)}
	if p.now == nil {
		p.now = time.Now
	}
	if err := p.setDevice(o); err != nil {
		return nil, err
	}
	if err := p.setList(o); err != nil {
		return nil, err
	}
	if p.device != nil && p.listing.url != nil && p.device.origin != p.listing.url.origin {
		return nil, errors.New("url and list url differ in scheme, host or port: they share one credential")
	}
	notFound, err := notFoundStatuses(o.NotFound)
	if err != nil {
		return nil, err
	}
	p.client, err = newClient(o, notFound)
	if err != nil {
		return nil, err
	}
	maxBody := o.MaxBody
	if maxBody == 0 {
		maxBody = DefaultMaxBody
	}
	p.maxBytes, p.listing.maxBytes = min(maxBody, maxDeviceBody), maxBody
	return p, nil
}

// setDevice reads what concerns the look-up of one device.
func (p *point) setDevice(o *Options) (err error) {
	if o.URL == "" {
		if o.Item != "" || len(o.Kinds) > 0 || len(o.NotFound) > 0 {
			return errors.New("item, kinds and not-found statuses are for a source with the url of one device")
		}
		return nil
	}
	p.device, err = parseTemplate(o.URL, "id", "kind")
	switch {
	case err != nil:
		return fmt.Errorf("url: %w", err)
	case !p.device.has("id"):
		return errors.New("url has no {id}")
	case len(o.Kinds) == 0:
		return errors.New("url needs the kinds of device id that it can be asked for")
	}
	for i, kind := range o.Kinds {
		if err := validKind(kind); err != nil {
			return err
		}
		if slices.Contains(o.Kinds[:i], kind) {
			return fmt.Errorf("kind of id %s is there twice", kind)
		}
	}
	if len(o.Kinds) > 1 && !p.mapping.hasIDs() {
		// Answers to two kinds of id could not be recognised as one device.
		return errors.New("more than one kind of id needs a field with an id in the map")
	}
	if p.item, err = parsePointer(o.Item); err != nil {
		return fmt.Errorf("item: %w", err)
	}
	return nil
}

// setList reads what concerns the listing.
func (p *point) setList(o *Options) (err error) {
	l := &p.listing
	if o.ListURL == "" {
		if o.Items != "" || o.Next != "" || o.NextParameter != "" || o.MaxPages != 0 || o.FirstPage != 0 {
			return errors.New("items, next and pages are for a source with a list url")
		}
		return nil
	}
	l.url, err = parseTemplate(o.ListURL, "page", "offset")
	if err != nil {
		return fmt.Errorf("list url: %w", err)
	}
	counted := l.url.has("page") || l.url.has("offset")
	switch {
	case !p.mapping.hasIDs():
		return errors.New("list url needs a field with an id in the map")
	case counted && (o.Next != "" || o.NextParameter != ""):
		return errors.New("list url with {page} or {offset} needs no next")
	case o.NextParameter != "" && o.Next == "":
		return errors.New("next parameter needs next, where its token is found")
	case o.FirstPage != 0 && !l.url.has("page"):
		return errors.New("first page needs {page} in the list url")
	}
	if l.items, err = parsePointer(o.Items); err != nil {
		return fmt.Errorf("items: %w", err)
	}
	if l.next, err = parsePointer(o.Next); err != nil {
		return fmt.Errorf("next: %w", err)
	}
	if o.Next != "" && len(l.next) >= len(l.items) && slices.Equal(l.next[:len(l.items)], l.items) {
		return errors.New("next points into the list")
	}
	l.parameter, l.first, l.maxPages = o.NextParameter, o.FirstPage, o.MaxPages
	if l.maxPages == 0 {
		l.maxPages = DefaultMaxPages
	}
	return nil
}

// notFoundStatuses returns nil for the default. A status that may as well speak
// of our credential, or of an outage, can never mean an unknown device.
func notFoundStatuses(list []int) ([]int, error) {
	for _, s := range list {
		switch s {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusRequestTimeout,
			http.StatusTooManyRequests:
		default:
			if s == http.StatusNoContent || s >= 400 && s <= 499 {
				continue
			}
		}
		return nil, fmt.Errorf("status %d cannot mean an unknown device", s)
	}
	return slices.Clone(list), nil
}

// validKind checks the name of a kind of id, as other sources spell it.
func validKind(kind string) error {
	if kind == "" || len(kind) > 32 || strings.ContainsFunc(kind, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) {
		return fmt.Errorf("kind of id %.40q is not a name of a-z, 0-9, _ and -", kind)
	}
	return nil
}

// placeholder reports whether an id is what a maker left where a serial number belongs.
func placeholder(k decision.Key) bool {
	return k.Kind == decision.KindSerial && source.PlaceholderSerial(k.Value)
}
