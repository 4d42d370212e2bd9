package defender

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const (
	machinesPath = "/api/machines"
	alertsPath   = "/api/alerts"

	pageRows = 10_000    // the most that the service gives
	pageBody = 128 << 20 // a machine takes one to three KiB, more with many addresses
	maxPages = 1000
)

var (
	errStuck    = errors.New("listing gives the same page again")
	errEndless  = errors.New("listing does not end")
	errTooLarge = errors.New("listing has more rows than fit")
)

// list reads every row of a list, page by page with $skip: the service gives no
// links. row returns the row's id, or "" if it has none.
//
// It ends with an empty page and not with a short one, so that a page that was
// cut off does not end it. It skips as many rows as it knows: a row that moves
// from one page to the next is read twice rather than another one not at all.
func (s *Source) list(ctx context.Context, ep msgraph.Endpoint, path, filter string, row func(json.RawMessage) string) error {
	seen := map[[16]byte]struct{}{}
	odd := 0 // rows without an id
	for range maxPages {
		known := len(seen) + odd
		q := url.Values{"$top": {strconv.Itoa(pageRows)}}
		if filter != "" {
			q.Set("$filter", filter)
		}
		if known > 0 {
			q.Set("$skip", strconv.Itoa(known))
		}
		last, err := s.o.Client.Pages(ctx, msgraph.Request{
			Endpoint: ep, Path: path, Query: q, Priority: "Low", MaxBody: pageBody,
		}, func(raw json.RawMessage) error {
			if id := row(raw); id != "" {
				seen[fingerprint(id)] = struct{}{}
			} else {
				odd++
			}
			if len(seen)+odd > source.DefaultCapacity {
				return errTooLarge
			}
			return nil
		})
		switch {
		case none(err), err == nil && last.Count == 0:
			return nil
		case err != nil:
			return err
		case len(seen)+odd == known && last.Count >= pageRows:
			return errStuck // $skip does nothing, and there may be more
		case len(seen)+odd == known:
			return nil
		}
	}
	return errEndless
}

// fingerprint keeps the memory of a large listing small.
func fingerprint(id string) [16]byte {
	sum := sha256.Sum256([]byte(id))
	return [16]byte(sum[:16])
}

// none recognises the service's own word for "there is nothing": an empty list is
// a 404 here. A 404 of a proxy has no such code.
func none(err error) bool {
	e := failure(err)
	return e != nil && e.Kind == msgraph.KindNotFound && strings.HasSuffix(strings.ToLower(e.Code), "notfound")
}

// refused reports whether the service does not understand the question.
func refused(err error) bool {
	e := failure(err)
	return e != nil && e.Kind == msgraph.KindBadRequest && e.Status != 0
}

func failure(err error) *msgraph.Error {
	var e *msgraph.Error
	if !errors.As(err, &e) {
		return nil
	}
	return e
}

// either reads the rows whose property has one of some values. Whether a filter
// may say "or" depends on the service's release: if not, there is one call for
// each value.
func (s *Source) either(ctx context.Context, ep msgraph.Endpoint, path, property string, values []string, row func(json.RawMessage) string) error {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = property + " eq '" + v + "'"
	}
	if !s.apart[path] {
		err := s.list(ctx, ep, path, strings.Join(parts, " or "), row)
		if !refused(err) {
			return err
		}
		s.apart[path] = true
		s.once("refuses a filter for several values of "+property+", asking for one at a time", err)
	}
	for _, part := range parts {
		if err := s.list(ctx, ep, path, part, row); err != nil {
			return err
		}
	}
	return nil
}
