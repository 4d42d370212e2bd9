package configmgr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// query is one listing of a class.
type query struct {
	class  string
	filter string   // OData; "" for every row
	fields []string // tiers of $select, the first preferred; see row.go
	most   int      // more rows are an error
	// once asks for one answer of at most so many rows, and no more.
	once    int
	patient bool
}

// tiers remembers which $select each class accepts, so that a refused one is not
// sent again. A site that is upgraded gets the longer lists at our next start.
type tiers struct {
	mu sync.Mutex
	m  map[string]int
}

func (t *tiers) get(class string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[class]
}

func (t *tiers) set(class string, tier int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[string]int{}
	}
	t.m[class] = max(tier, t.m[class])
}

// list calls row for every row that the query gives. If the server refuses the
// list of properties, the next one is tried, and finally none.
func (c *client) list(ctx context.Context, q query, row func(json.RawMessage) error) error {
	for tier := c.tiers.get(q.class); ; tier++ {
		fields := ""
		if tier < len(q.fields) {
			fields = q.fields[tier]
		}
		n, err := c.pages(ctx, q, fields, row)
		refused, ok := errors.AsType[*Error](err)
		if !ok || refused.Kind != KindBadRequest || n > 0 || fields == "" {
			return err
		}
		c.tiers.set(q.class, tier+1)
	}
}

// pages follows a listing to its end and returns the number of rows. A page that is
// shorter than asked for does not end it, since a server may have a limit of its
// own: only an empty page does.
func (c *client) pages(ctx context.Context, q query, fields string, row func(json.RawMessage) error) (int, error) {
	size := c.page
	if q.once > 0 {
		size, q.most = q.once, q.once
	}
	total, links, skip := 0, 0, 0
	var before json.RawMessage // first row of the page before
	next := ""
	for {
		address := next
		if address == "" {
			from := ""
			if skip > 0 {
				from = strconv.Itoa(skip)
			}
			address = c.classURL(q.class, "$filter", q.filter, "$select", fields, "$top", strconv.Itoa(size), "$skip", from)
		}
		b, err := c.get(ctx, q.class, address, q.patient)
		if err != nil {
			return total, err
		}
		p, err := parsePage(b)
		if err != nil {
			return total, &Error{Kind: KindAnswer, Class: q.class, Reason: err.Error()}
		}
		if len(p.rows) > 0 && before != nil && bytes.Equal(before, p.rows[0]) {
			if len(p.rows) > size {
				return total, nil // the server does not page: the first answer was all
			}
			return total, &Error{Kind: KindAnswer, Class: q.class, Reason: "the server sends the same page again"}
		}
		if q.once > 0 && len(p.rows) > q.once {
			p.rows = p.rows[:q.once] // the server does not know $top
		}
		if total+len(p.rows) > q.most {
			return total, &Error{Kind: KindAnswer, Class: q.class, Reason: "more than " + strconv.Itoa(q.most) + " rows"}
		}
		for _, r := range p.rows {
			if err := row(r); err != nil {
				return total, err
			}
			total++
		}
		if q.once > 0 {
			return total, nil
		}
		if len(p.rows) > 0 {
			before = p.rows[0]
		}
		if next, err = c.follow(q.class, p.next); err != nil {
			return total, err
		}
		links++
		switch {
		case links > maxPages:
			return total, &Error{Kind: KindAnswer, Class: q.class, Reason: "the listing does not end"}
		case len(p.rows) == 0 && next == "", p.bare:
			return total, nil
		}
		skip += min(len(p.rows), size) // more than asked for are repeated rows
	}
}

// maxPages bounds the requests of one listing.
const maxPages = 100_000

// follow checks a link to the next page: the sign-in goes to our server only.
func (c *client) follow(class, link string) (string, error) {
	if link == "" {
		return "", nil
	}
	u, err := c.base.Parse(link)
	if err != nil || u.Scheme != c.base.Scheme || !strings.EqualFold(u.Host, c.base.Host) || u.User != nil {
		return "", &Error{Kind: KindAnswer, Class: class, Reason: "the link to the next page leads to another server"}
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String(), nil
}

// page is one answer.
type page struct {
	rows []json.RawMessage
	next string
	bare bool // an object without an envelope: there is no next page
}

var (
	errNotJSON   = errors.New("the answer is not JSON of an AdminService")
	errTruncated = errors.New("the answer is cut off or not JSON")
)

// parsePage reads an answer: an object whose value is a list of rows or one row, or
// the bare row of a look-up by key.
func parsePage(b []byte) (page, error) {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	if len(b) == 0 || b[0] != '{' {
		return page{}, errNotJSON
	}
	var top map[string]json.RawMessage
	if json.Unmarshal(b, &top) != nil {
		return page{}, errTruncated
	}
	var next string
	if link, ok := top["@odata.nextLink"]; ok {
		if json.Unmarshal(link, &next) != nil {
			return page{}, errNotJSON
		}
	}
	value, ok := top["value"]
	switch {
	case !ok && isRow(top):
		return page{rows: []json.RawMessage{b}, bare: true}, nil
	case !ok:
		return page{}, errNotJSON
	case value[0] == '{':
		return page{rows: []json.RawMessage{value}, bare: true}, nil
	}
	p := page{next: next}
	if json.Unmarshal(value, &p.rows) != nil || value[0] != '[' {
		return page{}, errNotJSON
	}
	for _, r := range p.rows {
		if len(r) == 0 || r[0] != '{' {
			return page{}, errNotJSON
		}
	}
	return p, nil
}

// isRow reports whether an object is a row of a class that is read here.
func isRow(top map[string]json.RawMessage) bool {
	for name := range top {
		if strings.EqualFold(name, "ResourceID") || strings.EqualFold(name, "MachineID") {
			return true
		}
	}
	return false
}
