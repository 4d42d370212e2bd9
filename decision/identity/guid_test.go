package identity

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestDecodeGUID(t *testing.T) {
	join := func(head ...byte) []byte { return append(head, certIDBytes...) }
	for name, tt := range map[string]struct {
		in   []byte
		want string
	}{
		"raw":                  {certIDBytes, certID},
		"octet string":         {join(0x04, 0x10), certID},
		"long form of length":  {join(0x04, 0x81, 0x10), certID},
		"longer form":          {join(0x04, 0x82, 0x00, 0x10), ""},
		"another tag":          {join(0x0c, 0x10), ""},
		"another length":       {join(0x04, 0x11), ""},
		"one byte short":       {certIDBytes[:15], ""},
		"one byte more":        {join(0x00), ""},
		"octet string of 15":   {append([]byte{0x04, 0x0f}, certIDBytes[:15]...), ""},
		"nested twice":         {join(0x04, 0x12, 0x04, 0x10), ""},
		"data behind":          {append(join(0x04, 0x10), 0), ""},
		"nothing":              {nil, ""},
		"text of 36 is no raw": {[]byte(certID), ""},
	} {
		if got, ok := decodeGUID(tt.in); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: got %q, %v, want %q", name, got, ok, tt.want)
		}
	}
}

// Whatever decodes is an id in the one spelling that keys have.
func FuzzGUID(f *testing.F) {
	certSeeds(f, "guid", func(data []byte) { f.Add(data) })
	f.Fuzz(func(t *testing.T, data []byte) {
		id, ok := decodeGUID(data)
		if !ok {
			if id != "" {
				t.Errorf("refused, but with text %q", id)
			}
			return
		}
		key, ok := decision.CanonicalKey(decision.KindEntra, id)
		if zero := id == "00000000-0000-0000-0000-000000000000"; ok == zero || ok && key.Value != id {
			t.Errorf("%x decodes to %q, whose key is %q, %v", data, id, key.Value, ok)
		}
	})
}

// certSeeds gives every file of a directory under testdata to add.
func certSeeds(f *testing.F, dir string, add func([]byte)) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in testdata/%s: %v", dir, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		add(data)
	}
}
