package inventory

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// column is what one column of a CSV sets.
type column struct {
	at   int
	name string
	kind string // of an id; then set is nil
	// label is under which a word that no table lists is counted.
	label uint8
	// facts are what the column reports.
	facts decision.FactSet
	set   func(d *decision.Device, s string, now time.Time) error
}

// layout is what a header says about the rows below it.
type layout struct {
	columns  []column
	supplies decision.FactSet
	// finish completes a device from more than one column, or is nil.
	finish func(d *decision.Device)
}

// maxColumns bounds the width of a header.
const maxColumns = 512

// maxSpan bounds how many lines one row may cover. More means that a quotation
// mark went missing and swallowed other rows.
const maxSpan = 20

func decodeCSV(in *input, br *bufio.Reader, base int64, format string, now time.Time, to sink) (found, error) {
	r := csv.NewReader(br)
	r.FieldsPerRecord = -1 // counted here, so that one bad row is one bad row
	r.ReuseRecord = true
	r.Comma = separator(br)
	header, err := r.Read()
	if err != nil {
		return found{}, fmt.Errorf("header: %w", cause(err))
	}
	if len(header) > maxColumns {
		return found{}, fmt.Errorf("header has %d columns, more than %d", len(header), maxColumns)
	}
	names := make([]string, len(header))
	for i, h := range header {
		names[i] = strings.ToLower(strings.TrimSpace(h))
	}
	l, err := layoutOf(names, format)
	if err != nil {
		return found{}, err
	}
	last, _ := r.FieldPos(len(header) - 1)
	f := &table{
		in: in, br: br, base: base, offset: r.InputOffset(), width: len(names), comma: byte(r.Comma), layout: l, now: now,
		lines: last + strings.Count(header[len(header)-1], "\n"),
	}
	if err := f.rows(to); err != nil {
		return found{}, err
	}
	return found{facts: l.supplies, skipped: f.skipped}, nil
}

// row reads one device. Nothing in a row may end the reading of the others, so
// a fault in our own code counts as a bad row as well.
func (l *layout) row(fields []string, keys []decision.Key, now time.Time, to *result) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("row could not be read: internal error")
		}
	}()
	v := &to.verdict
	v.Keys = keys
	for i := range l.columns {
		c := &l.columns[i]
		s := strings.TrimSpace(fields[c.at])
		if c.set == nil {
			err = addKey(&v.Device, c.kind, s)
		} else {
			err = to.odd.note(c.label, c.set(&v.Device, s, now))
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	if to.odd != 0 {
		for i := range l.columns {
			if c := &l.columns[i]; c.set != nil && to.odd.has(c.label) {
				v.Unreadable |= c.facts
			}
		}
	}
	if l.finish != nil {
		l.finish(&v.Device)
	}
	return fits(&v.Device)
}

// layoutOf finds out what the columns mean.
func layoutOf(names []string, format string) (*layout, error) {
	switch {
	case format == FormatIntuneCSV:
		return intuneLayout(names)
	case format == FormatCSV:
		return plainLayout(names)
	case slices.ContainsFunc(names, intuneID):
		return intuneLayout(names)
	case slices.ContainsFunc(names, plainID):
		return plainLayout(names)
	}
	return nil, errors.New("header has no device id: an Intune export has \"Device ID\" and \"Microsoft Entra Device ID\", " +
		"a plain CSV entra_id, intune_id, serial or id:KIND")
}

// plainIDs are the columns that hold an id of a kind that sources share.
var plainIDs = map[string]string{
	"entra_id": decision.KindEntra, "device_id": decision.KindEntra,
	"intune_id": decision.KindIntune,
	"serial":    decision.KindSerial,
}

func plainID(name string) bool { return plainIDs[name] != "" || strings.HasPrefix(name, "id:") }

// plainLayout reads a header of normalised names. A name that is not one is an
// error: a misspelt column would otherwise be a fact that silently is unknown.
func plainLayout(names []string) (*layout, error) {
	l := &layout{}
	kinds := map[string]bool{}
	seen := map[string]bool{}
	for i, n := range names {
		if seen[n] {
			return nil, fmt.Errorf("header has column %q twice", excerpt(n))
		}
		seen[n] = true
		if plainID(n) {
			kind, ok := strings.CutPrefix(n, "id:")
			if !ok {
				kind = plainIDs[n]
			}
			if err := validKind(kind); err != nil {
				return nil, fmt.Errorf("header: %w", err)
			}
			if kinds[kind] {
				return nil, fmt.Errorf("header has two columns for the %s id", kind)
			}
			kinds[kind] = true
			l.columns = append(l.columns, column{at: i, name: n, kind: kind})
			continue
		}
		f, ok := fieldIndex[n]
		if !ok {
			return nil, fmt.Errorf("header has unknown column %q", excerpt(n))
		}
		l.columns = append(l.columns, column{at: i, name: n, label: uint8(f), facts: fields[f].supplies, set: fields[f].set})
		l.supplies |= fields[f].supplies
	}
	switch {
	case len(kinds) == 0:
		return nil, errors.New("header has no device id: one of entra_id, intune_id, serial, id:KIND")
	case len(kinds) > maxKinds:
		return nil, fmt.Errorf("header has %d kinds of id, more than %d", len(kinds), maxKinds)
	case l.supplies == 0:
		return nil, errors.New("header has no fact about devices")
	}
	return l, nil
}

// separator looks at the header line: spreadsheets of many countries save CSV
// with semicolons.
func separator(br *bufio.Reader) rune {
	head, _ := br.Peek(bufferSize) //nolint:errcheck // the parser meets the error again
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		head = head[:i]
	}
	if bytes.IndexByte(head, ',') < 0 && bytes.IndexByte(head, ';') >= 0 {
		return ';'
	}
	return ','
}

// cause drops what a parse error says about its place: our callers name it.
func cause(err error) error {
	if pe, ok := errors.AsType[*csv.ParseError](err); ok {
		return pe.Err
	}
	return err
}

func line(n int) string { return "line " + strconv.Itoa(n) }
