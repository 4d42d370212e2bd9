package configmgr

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParsePage(t *testing.T) {
	for file, want := range map[string]struct {
		rows int
		bare bool
		next bool
		fine bool
	}{
		"combined.json":     {rows: 2, fine: true},
		"bare.json":         {rows: 1, bare: true, fine: true},
		"odd.json":          {rows: 3, fine: true},
		"next.json":         {next: true, fine: true},
		"single_value.json": {rows: 1, bare: true, fine: true},
		"error.json":        {},
		"page.json":         {},
	} {
		b, err := os.ReadFile(filepath.Join("testdata", "page", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range [][]byte{b, append([]byte("\xef\xbb\xbf"), b...)} {
			p, err := parsePage(body)
			if len(p.rows) != want.rows || p.bare != want.bare || (p.next != "") != want.next || (err == nil) != want.fine {
				t.Errorf("%s: %d rows, bare %v, next %q, %v; want %+v", file, len(p.rows), p.bare, p.next, err, want)
			}
		}
	}
	for _, body := range []string{"", "[]", "null", `"x"`, `{"value":7}`, `{"value":"x"}`, `{"value":[[]]}`, `{"value":[],"@odata.nextLink":7}`, `{"value":[]}x`} {
		if p, err := parsePage([]byte(body)); err == nil {
			t.Errorf("%s is accepted: %+v", body, p)
		}
	}
}
