package httpjson

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Patience with a service that throttles in the middle of a list: beginning
// anew would cost it more.
const (
	maxWait  = 20 * time.Second
	maxWaits = 3 // for one page
)

// listing is how all devices are listed.
type listing struct {
	url       *template
	items     pointer
	next      pointer // nil: there is none
	parameter string
	first     int
	maxPages  int
	maxBytes  int64 // of one page
}

// page is one request of a listing.
type page struct {
	address string
	number  int // from 1
	rows    int // elements of its list
	null    bool
	next    any          // what the answer has at next
	lead    decision.Key // own id of its first usable device
}

// sync lists all devices into sweep. A page that cannot be read ends it: half a
// list would look like devices removed.
func (p *point) sync(ctx context.Context, sweep *source.Sweep) error {
	before := p.mapping.unknowns()
	if err := p.list(ctx, sweep); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	now := skipped(before, p.mapping.unknowns())
	p.lastList.Store(&now)
	return nil
}

func (p *point) list(ctx context.Context, sweep *source.Sweep) error {
	l := &p.listing
	seen := map[string]bool{}
	var total int
	var lead decision.Key
	pg := page{address: l.address(0, 0), number: 1}
	for {
		if seen[pg.address] {
			return fmt.Errorf("page %d: leads back to a page that was read before", pg.number)
		}
		seen[pg.address] = true
		if err := p.patiently(ctx, &pg, sweep); err != nil {
			return fmt.Errorf("page %d: %w", pg.number, err)
		}
		if pg.null && pg.number == 1 {
			return fmt.Errorf("answer has null instead of a list at %s", l.items)
		}
		if pg.rows > 0 && pg.lead == lead && lead != (decision.Key{}) {
			return fmt.Errorf("page %d: begins like the page before: the service ignores what leads to the next", pg.number)
		}
		total, lead = total+pg.rows, pg.lead
		address, err := l.following(&pg, total)
		switch {
		case err != nil:
			return fmt.Errorf("page %d: %w", pg.number, err)
		case address == "":
			return nil
		case pg.number == l.maxPages:
			return fmt.Errorf("list has more than %d pages", l.maxPages)
		}
		pg = page{address: address, number: pg.number + 1}
	}
}

// address fills the placeholders of the list's URL.
func (l *listing) address(pages, total int) string {
	s, _ := l.url.expand(map[string]string{"page": strconv.Itoa(l.first + pages), "offset": strconv.Itoa(total)})
	return s
}

// following returns the address of the page after pg, or "" if there is none.
func (l *listing) following(pg *page, total int) (string, error) {
	if l.next == nil {
		if pg.rows == 0 || !l.url.has("page") && !l.url.has("offset") {
			return "", nil
		}
		return l.address(pg.number, total), nil
	}
	if pg.next == nil || pg.next == false || pg.next == "" {
		return "", nil
	}
	token, ok := plainText(pg.next)
	if !ok || len(token) > maxURL {
		return "", fmt.Errorf("what leads to the next page, at %s, is no text", l.next)
	}
	base, err := url.Parse(pg.address)
	if err != nil {
		return "", errors.New("address is not a URL")
	}
	if l.parameter != "" {
		base.RawQuery = withParameter(base.RawQuery, l.parameter, token)
		return base.String(), nil
	}
	ref, err := url.Parse(token)
	if err != nil {
		return "", errors.New("address of the next page is not a URL")
	}
	next := base.ResolveReference(ref)
	if next.User != nil || originOf(next) != l.url.origin {
		return "", errors.New("address of the next page is of another origin")
	}
	next.Fragment, next.RawFragment = "", ""
	return next.String(), nil
}

// withParameter sets one parameter of a query and leaves the others as they are
// written: filters contain what url.Values would drop.
func withParameter(query, name, value string) string {
	var b strings.Builder
	for p := range strings.SplitSeq(query, "&") {
		n, _, _ := strings.Cut(p, "=")
		if n, err := url.QueryUnescape(n); p == "" || err == nil && n == name {
			continue
		}
		b.WriteString(p)
		b.WriteByte('&')
	}
	b.WriteString(escapeValue(name) + "=" + escapeValue(value))
	return b.String()
}

// patiently reads a page, and again after a short wait that the service asked
// for. It throttles before it answers, so nothing of the page was taken yet.
func (p *point) patiently(ctx context.Context, pg *page, sweep *source.Sweep) error {
	for waits := 0; ; waits++ {
		err := p.readPage(ctx, pg, sweep)
		throttled, ok := errors.AsType[*source.ThrottledError](err)
		if !ok || waits == maxWaits || throttled.RetryAfter <= 0 || throttled.RetryAfter > maxWait {
			return err
		}
		if end, bounded := ctx.Deadline(); bounded && time.Until(end) <= throttled.RetryAfter {
			return err
		}
		timer := time.NewTimer(throttled.RetryAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// readPage reads one page into sweep.
func (p *point) readPage(ctx context.Context, pg *page, sweep *source.Sweep) error {
	l := &p.listing
	now := p.now()
	d := &document{limit: l.maxBytes, items: l.items, row: func(row any) error {
		pg.rows++
		device, err := p.row(ctx, row, now)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			sweep.Bad(fmt.Sprintf("page %d, device %d", pg.number, pg.rows), err)
		default:
			if pg.lead == (decision.Key{}) {
				pg.lead = device.Keys[0]
			}
			sweep.Device(decision.Verdict{Device: device})
		}
		return nil
	}}
	doc, err := p.client.get(ctx, pg.address, d)
	switch {
	case errors.Is(err, errNotFound):
		return errors.New("the service has no such list: status of an unknown device")
	case err != nil:
		return err
	case !d.seen && !d.null:
		return fmt.Errorf("answer has no list at %s", l.items)
	}
	pg.null = d.null
	if l.next != nil {
		pg.next, _ = l.next.find(doc)
	}
	return nil
}

// row reads one element of the list.
func (p *point) row(ctx context.Context, row any, now time.Time) (decision.Device, error) {
	doc, ok := row.(map[string]any)
	if !ok {
		return decision.Device{}, errors.New("is no object")
	}
	r := p.mapping.read(ctx, doc, now)
	if len(r.Keys) == 0 {
		return decision.Device{}, errors.New("has no usable device id")
	}
	return r.Device, nil
}
