package inventory

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// jsonVersion is the version of the JSON format that we read and write.
const jsonVersion = 1

// document reads the JSON format one record at a time. It holds one record and
// a buffer's worth of what follows, bounded by input.allow.
type document struct {
	in     *input
	br     *bufio.Reader
	buf    []byte // buf[pos:] is not read yet
	pos    int
	offset int64 // of buf[0] in the file

	splitter  *splitter
	generated time.Time
	seen      map[string]bool // members of the document
	any       bool            // there is at least one record
}

func decodeJSON(in *input, br *bufio.Reader, base int64, now time.Time, to sink) (found, error) {
	d := &document{in: in, br: br, buf: make([]byte, 0, 2*bufferSize), offset: base, seen: map[string]bool{}}
	var facts decision.FactSet
	var skipped tally
	err := pipe(func(s *splitter) error {
		d.splitter = s
		return d.read()
	}, func() parser { return (&reader{now: now}).record }, func(b *batch) error {
		for i := range b.results {
			at, r := &b.records[i], &b.results[i]
			if r.syntax != nil {
				return r.syntax
			}
			place := func() string { return fmt.Sprintf("%s %d at byte %d", listOf(at.users), at.number, at.at) }
			if err := emit(at.users, r, to); err != nil {
				to.bad(place(), err)
				continue
			}
			skipped.add(r.odd, place)
			facts |= r.supplies
		}
		return nil
	})
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: JSON ends too early", errTruncated)
		}
		return found{}, err
	}
	if !d.any {
		facts = decision.AllFacts // an empty list rules nothing out
	}
	return found{facts: facts, generated: d.generated, skipped: skipped}, nil
}

// listOf names an element of one of the two lists.
func listOf(users bool) string {
	if users {
		return "user"
	}
	return "device"
}

// emit passes on what was read. A fault of ours in one record does not end the
// reading.
func emit(users bool, r *result, to sink) (err error) {
	defer func() {
		if recover() != nil {
			err = errRecord
		}
	}()
	switch {
	case r.err != nil:
		if users && (r.user.ObjectID != "" || r.user.UPN != "") {
			to.user(r.user)
		}
		return r.err
	case users:
		to.user(r.user)
	default:
		to.device(r.verdict)
	}
	return nil
}

func (d *document) read() error {
	err := d.list('{', '}', func(int) error {
		raw, err := d.value()
		if err != nil {
			return err
		}
		if raw[0] != '"' {
			return d.wrong("no member name")
		}
		name := unquote(value(raw))
		if d.seen[name] {
			return fmt.Errorf("member %q is there twice", excerpt(name))
		}
		d.seen[name] = true
		if err := d.expect(':'); err != nil {
			return err
		}
		return d.member(name)
	})
	if err != nil {
		return err
	}
	if _, err := d.peek(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("something follows the JSON document")
		}
		return err
	}
	for _, m := range []string{"version", "devices"} {
		if !d.seen[m] {
			return fmt.Errorf("member %q is missing", m)
		}
	}
	return nil
}

func (d *document) member(name string) error {
	switch name {
	case "version":
		raw, err := d.value()
		if err != nil {
			return err
		}
		var v int
		if json.Unmarshal(raw, &v) != nil || v != jsonVersion {
			return fmt.Errorf("version is not %d", jsonVersion)
		}
	case "generated_at":
		raw, err := d.value()
		if err != nil {
			return err
		}
		s, err := value(raw).text(false)
		if err == nil {
			d.generated, err = time.Parse(time.RFC3339, s)
		}
		if err != nil {
			return errors.New("generated_at is not in the form \"2026-11-20T21:03:10Z\"")
		}
	case "devices":
		return d.records(false)
	case "users":
		return d.records(true)
	default:
		return fmt.Errorf("unknown member %q", excerpt(name))
	}
	return nil
}

// records splits a list. Each element that cannot be used is named by its
// number, from 1, and by where it starts.
func (d *document) records(users bool) error {
	err := d.list('[', ']', func(n int) error {
		if _, err := d.peek(); err != nil {
			return err
		}
		at := d.offset + int64(d.pos)
		raw, err := d.element()
		if err != nil {
			return err
		}
		d.any = true
		return d.splitter.add(raw, record{at: at, number: n, users: users})
	})
	if err != nil {
		return fmt.Errorf("%ss: %w", listOf(users), err)
	}
	return nil
}

// list reads what stands between open and end, separated by commas, and calls
// each at the start of the nth element, from 1.
func (d *document) list(open, end byte, each func(n int) error) error {
	if err := d.expect(open); err != nil {
		return err
	}
	c, err := d.peek()
	if err == nil && c == end {
		d.pos++
		return nil
	}
	for n := 1; err == nil; n++ {
		if _, err = d.peek(); err != nil {
			break
		}
		if err = each(n); err != nil {
			break
		}
		if c, err = d.peek(); err != nil {
			break
		}
		switch c {
		case end:
			d.pos++
			return nil
		case ',':
			d.pos++
		default:
			err = d.wrong("no comma")
		}
	}
	return err
}

// expect reads one punctuation mark.
func (d *document) expect(want byte) error {
	c, err := d.peek()
	if err != nil {
		return err
	}
	if c != want {
		return d.wrong(fmt.Sprintf("no %q", rune(want)))
	}
	d.pos++
	return nil
}

// peek skips white space and returns the next byte.
func (d *document) peek() (byte, error) {
	for {
		if d.pos = skipSpace(d.buf, d.pos); d.pos < len(d.buf) {
			return d.buf[d.pos], nil
		}
		if err := d.fill(); err != nil {
			return 0, err
		}
	}
}

// value reads the next JSON value. Its bytes are good until the next read.
func (d *document) value() ([]byte, error) {
	if _, err := d.peek(); err != nil {
		return nil, err
	}
	for {
		end, err := scanValue(d.buf, d.pos, 0)
		if err == nil {
			raw := d.buf[d.pos:end]
			d.pos = end
			return raw, nil
		}
		if se, ok := errors.AsType[*syntaxError](err); ok {
			d.pos = se.at
			return nil, d.wrong(se.what)
		}
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
}

// element returns the bytes of the next value, which must not be scalar to be
// found fast; it leaves it to a worker to check their syntax. If they do not
// end in what was read so far, a broken value may be why, so that is checked at
// once.
func (d *document) element() ([]byte, error) {
	for {
		if c := d.buf[d.pos]; c != '{' && c != '[' {
			return d.value()
		}
		if end := skipComposite(d.buf, d.pos); end >= 0 {
			raw := d.buf[d.pos:end]
			d.pos = end
			return raw, nil
		}
		_, err := scanValue(d.buf, d.pos, 0)
		if se, ok := errors.AsType[*syntaxError](err); ok {
			d.pos = se.at
			return nil, d.wrong(se.what)
		}
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads more of the file behind what is not used up yet.
func (d *document) fill() error {
	d.offset += int64(d.pos)
	d.buf = d.buf[:copy(d.buf, d.buf[d.pos:])]
	d.pos = 0
	if len(d.buf) == cap(d.buf) {
		d.buf = append(make([]byte, 0, 2*cap(d.buf)), d.buf...)
	}
	d.in.allow(d.offset)
	n, err := d.br.Read(d.buf[len(d.buf):cap(d.buf)])
	d.buf = d.buf[:len(d.buf)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// wrong says where the document is not what it should be.
func (d *document) wrong(what string) error {
	return fmt.Errorf("byte %d: %w", d.offset+int64(d.pos), &syntaxError{d.pos, what})
}

// worst leaves of a record that is bad the ids and the bad news. The rest cannot be
// read: without the record nothing would stop its user.
func worst(u decision.UserRecord) decision.UserRecord {
	bad := decision.UserRecord{ObjectID: u.ObjectID, UPN: u.UPN, Unreadable: decision.Facts(decision.FactUserRisk)}
	if u.Enabled == decision.No {
		bad.Enabled = decision.No
	} else {
		bad.Unreadable |= decision.Facts(decision.FactUserEnabled)
	}
	if u.Compromised == decision.Yes {
		bad.Compromised = decision.Yes
	}
	if u.Risk > decision.LevelLow {
		bad.Risk, bad.RiskFloor = u.Risk, true
	}
	return bad
}

// decodeUser reads one element of "users". A value that is none makes a fact
// unreadable and not the record bad. Of a bad record [worst] is left.
func decodeUser(raw string) (u decision.UserRecord, supplies decision.FactSet, odd oddities, err error) {
	seen := map[string]bool{}
	var bad error
	err = members(value(raw), func(name string, v value) error {
		if err := readUser(&u, &supplies, &odd, name, v, seen[name]); err != nil && bad == nil {
			bad = fmt.Errorf("%s: %w", excerpt(name), err)
		}
		seen[name] = true
		return nil
	})
	switch {
	case err != nil:
		return decision.UserRecord{}, 0, 0, err
	case u.ObjectID == "" && u.UPN == "":
		if bad == nil {
			bad = errors.New("user has neither id nor upn")
		}
	case bad != nil:
		u = worst(u)
	default:
		if odd.has(labelUserEnabled) {
			u.Unreadable |= decision.Facts(decision.FactUserEnabled)
		}
		if odd.has(labelUserRisk) || odd.has(labelUserCompromised) {
			u.Unreadable |= decision.Facts(decision.FactUserRisk)
		}
	}
	return u, supplies, odd, bad
}

// readUser takes over one member; again says that it was there before.
func readUser(u *decision.UserRecord, supplies *decision.FactSet, odd *oddities, name string, v value, again bool) error {
	if again {
		return errTwice
	}
	switch name {
	case "id":
		return v.set(&u.ObjectID, userID)
	case "upn":
		return v.set(&u.UPN, userName)
	case "enabled":
		*supplies |= decision.Facts(decision.FactUserEnabled)
		return odd.note(labelUserEnabled, v.userTri(&u.Enabled))
	case "risk":
		*supplies |= decision.Facts(decision.FactUserRisk)
		s, err := v.text(false)
		if err == nil {
			err = enum(&u.Risk, levelWords, strings.TrimSpace(s))
		} else {
			err = errUnlisted
		}
		return odd.note(labelUserRisk, err)
	case "compromised":
		*supplies |= decision.Facts(decision.FactUserRisk)
		return odd.note(labelUserCompromised, v.userTri(&u.Compromised))
	}
	return errUnknownMember
}
