package inventory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The formats of an inventory file.
const (
	// FormatIntuneCSV is what "Devices, All devices, Export" of the Intune
	// admin centre and the report DevicesWithInventory give.
	FormatIntuneCSV = "intune_csv"
	// FormatCSV has a header of normalised names: entra_id (or device_id),
	// intune_id, serial or id:KIND, and the names listed in fields.go.
	FormatCSV = "csv"
	// FormatJSON is {"version": 1, "generated_at": TIME, "devices": [...],
	// "users": [...]}. A device has "ids" ({"entra": ID, KIND: ID}), the names
	// listed in fields.go, "owner" ({"id", "upn"}) in place of two of them, and
	// "settings" ([{"name", "policy", "state"}]); a user has "id", "upn",
	// "enabled", "risk" and "compromised".
	FormatJSON = "json"
)

const bufferSize = 64 << 10

// found is what the file says beside its records.
type found struct {
	facts     decision.FactSet
	generated time.Time
	skipped   tally
}

// decode reads a file of the given format, or of the one that it looks like.
func decode(in *input, format string, now time.Time, to sink) (found, error) {
	in.allow(0)
	br := bufio.NewReaderSize(in, bufferSize)
	start, err := br.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return found{}, err
	}
	base := int64(0)
	switch {
	case bytes.HasPrefix(start, []byte{0xef, 0xbb, 0xbf}):
		base = 3
		if _, err := br.Discard(3); err != nil {
			return found{}, err
		}
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}), bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		return found{}, errors.New("inventory file is UTF-16; save it as UTF-8")
	}
	head, err := br.Peek(bufferSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return found{}, err
	}
	looks := FormatCSV
	switch first := bytes.TrimLeft(head, " \t\r\n"); {
	case len(first) == 0:
		return found{}, errors.New("inventory file is empty")
	case first[0] == '{':
		looks = FormatJSON
	case first[0] == '[':
		return found{}, errors.New(`inventory JSON is a list; it must be an object with "version" and "devices"`)
	}
	if (format == FormatJSON) != (looks == FormatJSON) && format != "" {
		return found{}, fmt.Errorf("inventory file is not %s: it looks like %s", format, looks)
	}
	if looks == FormatJSON {
		return decodeJSON(in, br, base, now, to)
	}
	return decodeCSV(in, br, base, format, now, to)
}
