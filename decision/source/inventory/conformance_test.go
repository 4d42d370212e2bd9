package inventory

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/sourcetest"
)

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, devices []decision.Verdict) sourcetest.Fixture {
		t.Helper()
		path := filepath.Join(t.TempDir(), "devices.json")
		var b bytes.Buffer
		write := func(devices []decision.Verdict) {
			b.Reset()
			if err := WriteJSON(&b, devices, nil); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(devices)
		s, err := New(Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return sourcetest.Fixture{Source: s, Change: write, Break: func() {
			if err := os.Truncate(path, int64(b.Len()/2)); err != nil {
				t.Fatal(err)
			}
		}}
	})
}
