package httpjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of one answer. Of a list, maxValues counts for each device anew.
const (
	maxDepth  = 32
	maxValues = 100_000
	maxNumber = 40 // bytes
)

var (
	errTooLarge = errors.New("answer is too large")
	errEnd      = errors.New("answer ends early")
)

// document reads one JSON document (RFC 8259) from r, within limit bytes.
// Beyond what encoding/json checks, a member that is there twice is an error:
// readers differ on which one counts. Numbers are int64 where they are written
// as an integer that fits, else float64.
//
// If row is not nil, the list at items is not kept: row gets one element after
// the other, and in the document an empty list stands in its place. Seen says
// whether there was such a list; null says that there was null instead.
type document struct {
	limit int64
	items pointer
	row   func(any) error

	seen, null bool

	dec  *json.Decoder
	left int
}

// read returns the document, without the list that went to row.
func (d *document) read(r io.Reader) (any, error) {
	d.dec = json.NewDecoder(&bounded{r, d.limit})
	d.dec.UseNumber()
	d.left = maxValues
	v, err := d.value(0, d.row != nil)
	if err == nil {
		if _, err = d.dec.Token(); err == nil {
			err = errors.New("answer goes on after its end")
		} else if errors.Is(err, io.EOF) {
			return v, nil
		}
	}
	return nil, plainError(err)
}

// plainError puts what encoding/json says about broken text into our words.
func plainError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errEnd
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("answer is not JSON: %w", err)
	}
	return err
}

// value reads one value. onPath says that the tokens of items so far led here.
func (d *document) value(depth int, onPath bool) (any, error) {
	if d.left--; d.left < 0 {
		return nil, fmt.Errorf("answer has more than %d values", maxValues)
	}
	t, err := d.dec.Token()
	if err != nil {
		return nil, err
	}
	here := onPath && depth == len(d.items)
	switch t := t.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, fmt.Errorf("answer is nested deeper than %d levels", maxDepth)
		}
		switch {
		case t == '{':
			return d.object(depth, onPath && !here)
		case here:
			return d.list()
		}
		return d.array(depth, onPath)
	case json.Number:
		return number(string(t))
	case nil:
		d.null = d.null || here
	}
	return t, nil
}

func (d *document) object(depth int, onPath bool) (any, error) {
	m := map[string]any{}
	for d.dec.More() {
		t, err := d.dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok {
			return nil, errors.New("answer is not JSON")
		}
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("member %.40q is there twice", name)
		}
		m[name], err = d.value(depth+1, onPath && d.items[depth] == name)
		if err != nil {
			return nil, err
		}
	}
	_, err := d.dec.Token() // '}'
	return m, err
}

func (d *document) array(depth int, onPath bool) (any, error) {
	a := []any{}
	for d.dec.More() {
		v, err := d.value(depth+1, onPath && d.items[depth] == strconv.Itoa(len(a)))
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	_, err := d.dec.Token() // ']'
	return a, err
}

// list hands out the elements of the list at items.
func (d *document) list() (any, error) {
	d.seen = true
	outside := d.left
	for d.dec.More() {
		d.left = maxValues
		v, err := d.value(len(d.items)+1, false)
		if err == nil {
			err = d.row(v)
		}
		if err != nil {
			return nil, err
		}
	}
	d.left = outside
	_, err := d.dec.Token() // ']'
	return []any{}, err
}

// number reads a JSON number.
func number(s string) (any, error) {
	if len(s) > maxNumber {
		return nil, fmt.Errorf("number is longer than %d bytes", maxNumber)
	}
	if !strings.ContainsAny(s, ".eE") {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("number %.40s is out of range", s)
	}
	return f, nil
}

// bounded fails where io.LimitReader would pretend that the text is over.
type bounded struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
