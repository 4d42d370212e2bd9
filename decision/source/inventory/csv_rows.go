package inventory

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// table reads the rows below a header. What a row is and what is wrong with it
// is for encoding/csv to say. Only a row that plainly needs no such judge is
// taken apart here: one on a line of its own, whose quotation marks stand
// around whole fields.
type table struct {
	in     *input
	br     *bufio.Reader
	base   int64 // of the reader's first byte in the file
	offset int64 // of the next row from base
	lines  int   // read so far
	width  int   // of the header
	comma  byte
	layout *layout
	now    time.Time
	// skipped is written by the goroutine that called rows.
	skipped tally
}

func (t *table) rows(to sink) error {
	var quote error // a broken quotation, which at the end of the file means that it is cut off
	err := pipe(t.split, t.worker, func(b *batch) error {
		for i := range b.results {
			at, r := int(b.records[i].at), &b.results[i]
			quote = nil
			switch {
			case r.syntax != nil:
				if errors.Is(r.syntax, csv.ErrQuote) {
					quote = fmt.Errorf("line %d: %w", at, r.syntax)
				}
				to.bad(line(at), r.syntax)
			case r.err != nil:
				to.bad(line(at), r.err)
			default:
				t.skipped.add(r.odd, func() string { return line(at) })
				to.device(r.verdict)
			}
		}
		return nil
	})
	if err == nil && quote != nil {
		return fmt.Errorf("%w: %w", errTruncated, quote)
	}
	return err
}

// split finds the rows. A line with an even number of quotation marks is a row,
// whatever else is wrong with it: encoding/csv is never inside a quotation at
// its end, and goes on behind it after an error.
func (t *table) split(s *splitter) error {
	for {
		t.in.allow(t.base + t.offset)
		buffered, _ := t.br.Peek(t.br.Buffered()) //nolint:errcheck // it is there
		n := bytes.IndexByte(buffered, '\n') + 1
		if n == 0 && len(buffered) < t.br.Size() {
			if _, err := t.br.Peek(len(buffered) + 1); err == nil {
				continue
			} // otherwise the rest is for encoding/csv, which meets the error again
		}
		if n == 0 || bytes.Count(buffered[:n], quotationMark)%2 != 0 {
			if err := t.difficult(s); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			continue
		}
		t.lines++
		if row := buffered[:n]; n > 2 || n == 2 && row[0] != '\r' {
			if err := s.add(row, record{at: int64(t.lines)}); err != nil {
				return err
			}
		}
		t.offset += int64(n)
		t.br.Discard(n) //nolint:errcheck // it is there
	}
}

var quotationMark = []byte{'"'}

// difficult reads one row through encoding/csv: of several lines, very long, at
// the end of the file, or broken.
func (t *table) difficult(s *splitter) error {
	r := t.reader(t.br) // reads from br itself, and nothing beyond the row
	fields, err := r.Read()
	before := t.lines
	t.offset += r.InputOffset()
	if err != nil {
		pe, ok := errors.AsType[*csv.ParseError](err)
		if !ok {
			return err
		}
		t.lines += pe.Line
		if pe.Line-pe.StartLine > maxSpan {
			return tooLong(before + pe.StartLine)
		}
		return s.add(nil, record{at: int64(before + pe.StartLine), err: pe.Err})
	}
	start, _ := r.FieldPos(0)
	last, _ := r.FieldPos(len(fields) - 1)
	last += strings.Count(fields[len(fields)-1], "\n")
	t.lines += last
	if last-start > maxSpan {
		return tooLong(before + start)
	}
	// A file that ends in the middle of a row was cut off there.
	if len(fields) != t.width && t.in.n == t.in.size && t.base+t.offset == t.in.size && t.in.tail != '\n' {
		return fmt.Errorf("%w: line %d has %d of %d fields", errTruncated, before+start, len(fields), t.width)
	}
	return s.add(nil, record{at: int64(before + start), fields: fields})
}

func tooLong(line int) error {
	return fmt.Errorf("quotation in line %d does not end by line %d", line, line+maxSpan)
}

func (t *table) reader(r io.Reader) *csv.Reader {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1 // counted here, so that one bad row is one bad row
	c.Comma = rune(t.comma)
	return c
}

// worker returns what reads the rows of a batch.
func (t *table) worker() parser {
	var buf []string
	return func(text string, r *record, keys []decision.Key, to *result) {
		fields := r.fields
		if fields == nil && r.err == nil {
			var ok bool
			if buf, ok = simple(buf[:0], text, t.comma); ok {
				fields = buf
			} else {
				fields, r.err = t.reader(strings.NewReader(text)).Read()
			}
		}
		switch {
		case r.err != nil:
			to.syntax = cause(r.err)
		case len(fields) != t.width:
			to.err = fmt.Errorf("row has %d fields, header has %d", len(fields), t.width)
		default:
			to.err = t.layout.row(fields, keys, t.now, to)
		}
	}
}

// simple appends the fields of one line. It reports false if there is more to
// the quotation marks than that they stand around a field.
func simple(fields []string, s string, comma byte) ([]string, bool) {
	s = strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
	for {
		n := 0
		if len(s) > 0 && s[0] == '"' {
			if n = strings.IndexByte(s[1:], '"'); n < 0 {
				return fields, false
			}
			fields = append(fields, s[1:n+1])
			if n += 2; n < len(s) && s[n] != comma {
				return fields, false
			}
		} else {
			for n < len(s) && s[n] != comma {
				if s[n] == '"' {
					return fields, false
				}
				n++
			}
			fields = append(fields, s[:n])
		}
		if n == len(s) {
			return fields, true
		}
		s = s[n+1:]
	}
}
