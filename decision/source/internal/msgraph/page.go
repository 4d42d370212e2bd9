package msgraph

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxPages bounds a list: 10 million rows at the usual 1,000 a page.
const maxPages = 10_000

// Last says how a list ended.
type Last struct {
	// DeltaLink asks for what changed since; it can be a later Request.Path.
	// Empty if the list is not a delta query.
	DeltaLink string
	Count     int // rows that were handed out
	Pages     int
}

// Pages reads a list and hands out its rows one by one, following each
// @odata.nextLink as it came, with the same Header. A page is in memory as a
// whole, the list is not. A row may be kept; it holds its page in memory then.
//
// An error of row ends the list and is returned as it is. Anything else is an
// [*Error], of KindAnswer if a page is none: no "value" array, an HTML page, a
// link to another origin or to a page seen before, or fewer rows on the last
// page than it says itself. After an error the rows handed out are not the
// whole list, and Last tells how far it came.
func (c *Client) Pages(ctx context.Context, r Request, row func(json.RawMessage) error) (Last, error) {
	var last Last
	if r.Method != "" && r.Method != http.MethodGet {
		return last, &Error{Endpoint: r.Endpoint, Kind: KindBadRequest, Message: "a list is read with GET"}
	}
	seen := map[[sha256.Size]byte]bool{}
	for last.Pages < maxPages {
		p, e := c.prepare(r)
		if e != nil {
			if last.Pages > 0 {
				e.Kind = KindAnswer // the link came from the service
			}
			return last, e
		}
		link := sha256.Sum256([]byte(p.url.String()))
		if seen[link] {
			return last, &Error{Endpoint: r.Endpoint, Kind: KindAnswer, Message: "list leads back to a page that was read already"}
		}
		seen[link] = true
		var page page
		p.check = func(a *Answer) error {
			var err error
			page, err = splitPage(a.Body)
			return err
		}
		if _, e = c.do(ctx, p); e != nil {
			return last, e
		}
		last.Pages++
		for _, raw := range page.rows {
			if err := row(raw); err != nil {
				return last, err
			}
			last.Count++
		}
		if page.next == "" {
			last.DeltaLink = page.delta
			return last, nil
		}
		r.Path, r.Query = page.next, nil
	}
	return last, &Error{Endpoint: r.Endpoint, Kind: KindAnswer, Message: fmt.Sprintf("list has more than %d pages", maxPages)}
}

// page is one page of an OData list. The rows are parts of its body.
type page struct {
	rows        []json.RawMessage
	next, delta string
}

var (
	errNoRows  = errors.New(`page has no "value" array`)
	errShort   = errors.New("page ends before the count that it gives")
	errTwice   = errors.New("page has a member twice")
	errTrailer = errors.New("page goes on after its end")
)

// splitPage reads a page in one pass, without copying rows.
func splitPage(body []byte) (page, error) {
	var p page
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return p, errNotJSON
	}
	seen := map[string]bool{}
	count := -1
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return p, errNotJSON
		}
		name, _ := t.(string)
		switch name {
		case "value", "@odata.nextLink", "@odata.deltaLink", "@odata.count":
			if seen[name] {
				return p, errTwice
			}
			seen[name] = true
		}
		switch name {
		case "value":
			p.rows, err = splitRows(d, body)
		case "@odata.nextLink":
			err = decodeMember(d, &p.next)
		case "@odata.deltaLink":
			err = decodeMember(d, &p.delta)
		case "@odata.count":
			err = decodeMember(d, &count)
		default:
			var skipped json.RawMessage
			err = decodeMember(d, &skipped)
		}
		if err != nil {
			return p, err
		}
	}
	if _, err := d.Token(); err != nil {
		return p, errNotJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return p, errTrailer
	}
	if !seen["value"] {
		return p, errNoRows
	}
	// Intune counts the rows of a page and the directory all rows, on its first
	// page: in both cases a last page cannot hold fewer, unless rows were lost.
	if p.next == "" && len(p.rows) < count {
		return p, errShort
	}
	return p, nil
}

func decodeMember(d *json.Decoder, into any) error {
	if err := d.Decode(into); err != nil {
		return errNotJSON
	}
	return nil
}

// splitRows finds the rows of the array that the decoder stands before.
func splitRows(d *json.Decoder, body []byte) ([]json.RawMessage, error) {
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errNoRows
	}
	rows := []json.RawMessage{}
	var raw json.RawMessage
	for d.More() {
		if err := d.Decode(&raw); err != nil {
			return nil, errNotJSON
		}
		end := d.InputOffset()
		rows = append(rows, body[end-int64(len(raw)):end:end])
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotJSON
	}
	return rows, nil
}
