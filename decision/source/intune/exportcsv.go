package intune

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// openExport finds the one table in a zip.
func openExport(file []byte) (io.ReadCloser, error) {
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, errors.New("export is not a zip file")
	}
	var table *zip.File
	for _, f := range z.File {
		if strings.HasSuffix(strings.ToLower(f.Name), ".csv") {
			if table != nil {
				return nil, errors.New("export has more than one table")
			}
			table = f
		}
	}
	if table == nil {
		return nil, errors.New("export has no table")
	}
	if table.UncompressedSize64 > maxUnpacked {
		return nil, fmt.Errorf("table in the export is larger than %d bytes", maxUnpacked)
	}
	return table.Open()
}

// column is one column that we read, by the name that the reports interface
// requests and by those that the admin centre prints, in lower case.
type column struct {
	names []string
	at    func(*record) *text
}

var columns = []column{
	{[]string{"deviceid", "device id"}, func(r *record) *text { return &r.ID }},
	{[]string{"compliantstate", "compliance"}, func(r *record) *text { return &r.Compliance }},
	{[]string{"lastcontact", "last check-in"}, func(r *record) *text { return &r.LastSync }},
	{[]string{"referenceid", "microsoft entra device id", "azure ad device id"}, func(r *record) *text { return &r.EntraID }},
	{[]string{"serialnumber", "serial number"}, func(r *record) *text { return &r.Serial }},
	{[]string{"devicename", "device name"}, func(r *record) *text { return &r.Name }},
	{[]string{"model"}, func(r *record) *text { return &r.Model }},
	{[]string{"userid", "user id"}, func(r *record) *text { return &r.UserID }},
	{[]string{"upn", "primary user upn"}, func(r *record) *text { return &r.UPN }},
	{[]string{"devicetype", "os"}, func(r *record) *text { return &r.OS }},
	{[]string{"osversion", "os version"}, func(r *record) *text { return &r.OSVersion }},
	{[]string{"ingraceperioduntil", "compliance grace period expiration"}, func(r *record) *text { return &r.Grace }},
	{[]string{"managementagent", "managed by"}, func(r *record) *text { return &r.Agent }},
	{[]string{"managementstate", "device state"}, func(r *record) *text { return &r.State }},
	{[]string{"deviceregistrationstate", "intune registered"}, func(r *record) *text { return &r.Registration }},
	{[]string{"ownertype", "ownership"}, func(r *record) *text { return &r.Ownership }},
	{[]string{"androidpatchlevel", "security patch level"}, func(r *record) *text { return &r.PatchLevel }},
	{[]string{"jailbroken"}, func(r *record) *text { return &r.Jailbroken }},
	{[]string{"encrypted", "isencrypted"}, func(r *record) *text { return &r.encrypted }},
	{[]string{"supervised", "issupervised"}, func(r *record) *text { return &r.supervised }},
}

// needed is how many columns, from the first on, an export must have.
const needed = 3

// readCSV reads the table of an export. each is called with every row, or with
// the error of a row that cannot be read; its own error ends the reading.
func readCSV(table io.Reader, each func(row int, r *record, err error) error) error {
	limited := &io.LimitedReader{R: table, N: maxUnpacked}
	buffered := bufio.NewReader(limited)
	const mark = "\ufeff" // some write a byte-order mark, before a quote
	if b, _ := buffered.Peek(len(mark)); string(b) == mark {
		_, _ = buffered.Discard(len(mark))
	}
	in := csv.NewReader(buffered)
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		return errors.New("export has no header")
	}
	at, err := findColumns(header)
	if err != nil {
		return err
	}
	rows := 0
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		rows++
		var r record
		switch {
		case errors.Is(err, csv.ErrFieldCount):
			err = errors.New("row has another number of columns than the header")
		case err != nil:
			return fmt.Errorf("row %d of the export cannot be read", rows)
		default:
			r.fill(fields, at)
		}
		if err := each(rows, &r, err); err != nil {
			return err
		}
	}
	switch {
	case limited.N <= 0:
		return errors.New("table in the export is too large")
	case rows == 0:
		return errors.New("export has no rows")
	}
	return nil
}

func findColumns(header []string) ([]int, error) {
	at := make([]int, len(columns))
	for i, c := range columns {
		at[i] = -1
		for j, h := range header {
			h = strings.ToLower(strings.TrimSpace(h))
			for _, n := range c.names {
				if h != n {
					continue
				}
				if at[i] >= 0 {
					return nil, fmt.Errorf("export has column %q twice", c.names[0])
				}
				at[i] = j
			}
		}
		if at[i] < 0 && i < needed {
			return nil, fmt.Errorf("export has no column %q", c.names[0])
		}
	}
	return at, nil
}

// fill makes a record of a row.
func (r *record) fill(fields []string, at []int) {
	for i, c := range columns {
		if at[i] >= 0 {
			*c.at(r) = text{s: fields[at[i]], given: true}
		}
	}
}
