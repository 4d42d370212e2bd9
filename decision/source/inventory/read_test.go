package inventory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testNow is the clock of tests that read bytes.
var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// collected is what a reader emitted.
type collected struct {
	devices []decision.Verdict
	users   []decision.UserRecord
	bad     []string
	found   found
	err     error
}

func collect(content []byte, format string) *collected {
	c := &collected{}
	in := &input{ctx: context.Background(), r: bytes.NewReader(content), size: int64(len(content)), sum: sha256.New()}
	c.found, c.err = decode(in, format, testNow, sink{
		device: func(v decision.Verdict) { c.devices = append(c.devices, v) },
		user:   func(u decision.UserRecord) { c.users = append(c.users, u) },
		bad:    func(place string, err error) { c.bad = append(c.bad, place+": "+err.Error()) },
	})
	if in.failed != nil {
		c.err = in.failed
	}
	return c
}

// golden prints what was collected for a person to read and compare.
func (c *collected) golden() []byte {
	var b bytes.Buffer
	if err := WriteJSON(&b, c.devices, c.users); err != nil {
		fmt.Fprintf(&b, "not writable: %v\n", err)
	}
	fmt.Fprintf(&b, "facts: %s\n", strings.Join(names(c.found.facts), " "))
	for i := range c.devices {
		if d := &c.devices[i].Device; d.Unreadable != 0 {
			fmt.Fprintf(&b, "unreadable: %s: %s\n", d.Keys[0].Value, strings.Join(names(d.Unreadable), " "))
		}
	}
	for i := range c.users {
		if u := &c.users[i]; u.Unreadable != 0 {
			fmt.Fprintf(&b, "unreadable: %s: %s\n", cmp.Or(u.ObjectID, u.UPN), strings.Join(names(u.Unreadable), " "))
		}
	}
	if !c.found.generated.IsZero() {
		fmt.Fprintf(&b, "generated: %s\n", c.found.generated.Format(time.RFC3339))
	}
	for _, s := range c.bad {
		fmt.Fprintf(&b, "bad: %s\n", s)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	for _, file := range []string{"intune_new.csv", "intune_old.csv", "intune_api.csv", "plain.csv", "inventory.json"} {
		t.Run(file, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			c := collect(content, "")
			if c.err != nil {
				t.Fatal(c.err)
			}
			path := filepath.Join("testdata", file+".golden")
			if *update {
				if err := os.WriteFile(path, c.golden(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.golden(); !bytes.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			// The golden device list is itself an inventory that says the same.
			doc, _, _ := bytes.Cut(want, []byte("facts: "))
			again := collect(doc, FormatJSON)
			if again.err != nil || len(again.bad) > 0 {
				t.Fatalf("reading back: %v, bad %q", again.err, again.bad)
			}
			for i := range c.devices { // what cannot be read cannot be written either
				c.devices[i].Unreadable = 0
			}
			for i := range c.users {
				c.users[i].Unreadable = 0
			}
			if !reflect.DeepEqual(again.devices, c.devices) || !reflect.DeepEqual(again.users, c.users) {
				t.Error("devices or users changed on the way through WriteJSON")
			}
		})
	}
}

// A semicolon is what many spreadsheets call a comma.
func TestSemicolons(t *testing.T) {
	c := collect([]byte("serial;compliance;name\nx1;compliant;a, b\n"), "")
	if c.err != nil || len(c.devices) != 1 || c.devices[0].Name != "a, b" || c.devices[0].Compliance != decision.Compliant {
		t.Errorf("got %+v", c)
	}
}

func TestBrokenFiles(t *testing.T) {
	intune := "Device ID,Compliance\n"
	guid := "11111111-aaaa-4bbb-8ccc-000000000001"
	doc := `{"version":1,"devices":[{"ids":{"asset":"a"},"compliance":"compliant"}`
	tests := []struct {
		name, content, format, want string
	}{
		{"empty", "", "", "empty"},
		{"only space", " \r\n\t", "", "empty"},
		{"only a byte-order mark", "\ufeff", "", "empty"},
		{"utf-16", "\xff\xfeD\x00", "", "UTF-16"},
		{"no id column", "Device name,Compliance\nx,y\n", "", "no device id"},
		{"no compliance column", "Device ID,OS\n", "", `no column "Compliance"`},
		{"intune without ids", "Serial number,Compliance\n", FormatIntuneCSV, "neither"},
		{"both id headers", "Device ID,Microsoft Entra Device ID,Azure AD Device ID,Compliance\n", "", "twice"},
		{"unknown column", "serial,complaince\n", "", `unknown column "complaince"`},
		{"column twice", "serial,name,name,compliance\n", "", `column "name" twice`},
		{"two columns of a kind", "device_id,entra_id,compliance\n", "", "two columns for the entra id"},
		{"ids only", "serial,name\n", "", "no fact"},
		{"facts only", "compliance\n", FormatCSV, "no device id"},
		{"bad kind", "id:a b,compliance\n", "", "kind of id"},
		{"too many kinds", "id:a,id:b,id:c,id:d,id:e,id:f,id:g,id:h,id:i,compliance\n", "", "9 kinds"},
		{"too many columns", strings.Repeat("serial,", maxColumns) + "serial\n", "", "columns"},
		{"ends inside quotes", intune + guid + ",\"Compl", "", "cut off"},
		{"ends inside a row", intune + guid + ",Compliant\n" + guid, "", "cut off"},
		{"quotation swallows rows", intune + "\"" + strings.Repeat(guid+",Compliant\n", 200) + "\"\n", "", "does not end"},
		{"endless row", intune + "\"" + strings.Repeat("x", 2<<20) + "\"\n", "", "longer than"},
		{"json for csv", doc + "]}", FormatCSV, "looks like json"},
		{"csv for json", intune, FormatJSON, "looks like csv"},
		{"json list", "[]", "", "is a list"},
		{"json without end of list", doc, "", "cut off"},
		{"json without end", doc + "]", "", "cut off"},
		{"json inside a string", `{"version":1,"devices":[{"ids":{"asset":"a`, "", "cut off"},
		{"json after a comma", doc + ",", "", "cut off"},
		{"json with a tail", doc + "]} {}", "", "follows"},
		{"json broken", doc + `,{"ids":}]}`, "", "devices: byte 78"},
		{"json without version", `{"devices":[]}`, "", `"version" is missing`},
		{"json of another version", `{"version":2,"devices":[]}`, "", "version is not 1"},
		{"json version as text", `{"version":"1","devices":[]}`, "", "version is not 1"},
		{"json without devices", `{"version":1}`, "", `"devices" is missing`},
		{"json null devices", `{"version":1,"devices":null}`, "", "byte 23: invalid JSON: no '['"},
		{"json unknown member", `{"version":1,"device":[]}`, "", `unknown member "device"`},
		{"json member twice", `{"version":1,"devices":[],"devices":[]}`, "", "twice"},
		{"json bad date", `{"version":1,"generated_at":"today","devices":[]}`, "", "generated_at"},
		{"json date no text", `{"version":1,"generated_at":5,"devices":[]}`, "", "generated_at"},
		{"json endless record", `{"version":1,"devices":[{"name":"` + strings.Repeat("x", 2<<20) + `"}]}`, "", "longer than"},
		{"json endless name", `{"` + strings.Repeat("x", 2<<20) + `":1}`, "", "longer than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := collect([]byte(tt.content), tt.format)
			if c.err == nil || !strings.Contains(c.err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", c.err, tt.want)
			}
			if strings.Contains(tt.want, "cut off") && !errors.Is(c.err, errTruncated) {
				t.Errorf("error %v is not errTruncated", c.err)
			}
		})
	}
}

func TestBadRows(t *testing.T) {
	tests := []struct {
		name, content, want string
		devices             int
	}{
		{"bare quote", "serial,compliance\na\"b,compliant\nx2,compliant\n", `line 2: bare " in non-quoted-field`, 1},
		{"text after a quote", "serial,compliance\n\"a\"b,compliant\nx2,compliant\n", `line 2: extraneous or missing " in quoted-field`, 1},
		{"too few fields", "serial,compliance\nx1\nx2,compliant\n", "line 2: row has 1 fields, header has 2", 1},
		{"too many fields", "serial,compliance\nx1,compliant,\n", "line 2: row has 3 fields, header has 2", 0},
		{"line after a quoted newline", "serial,name,compliance\nx1,\"a\nb\",compliant\nx2,c\n", "line 4: row has 2 fields, header has 3", 1},
		{"control character in an id", "serial,compliance\nx\x01,compliant\n", "line 2: column serial: serial id \"x\\x01\" is malformed", 0},
		{"id not UTF-8", "serial,compliance\nx\xff,compliant\n", "line 2: column serial: serial id \"x\\xff\" is malformed", 0},
		{"broken version", "serial,os_version,platform\nx1,10..5,ios\n", "line 2: column os_version: version part \"\" is not a number", 0},
		{"time before all devices", "serial,last_check_in\nx1,1901-01-01\n", "line 2: column last_check_in: time \"1901-01-01\" is out of range", 0},
		{"check-in to come", "serial,last_check_in\nx1,2026-11-23\n", "line 2: column last_check_in: time \"2026-11-23\" is in the future", 0},
		{"overlong owner", "serial,owner_upn\nx1," + strings.Repeat("x", 321) + "\n", "line 2: column owner_upn: user name: longer than 320 bytes", 0},
		{
			"json record by number", `{"version":1,"devices":[{"ids":{"asset":"a"}},{"ids":{"asset":"b"},"x":1}]}`,
			"device 2 at byte 46: x: is not a member of this record", 1,
		},
		{
			"json ids beyond the limit", `{"version":1,"devices":[{"ids":{"a":"1","b":"1","c":"1","d":"1","e":"1","f":"1","g":"1","h":"1","i":"1"}}]}`,
			"device 1 at byte 24: ids: i: is one id more than 8", 0,
		},
		{"json user", `{"version":1,"devices":[],"users":[{"upn":"a","upn":"b"}]}`, "user 1 at byte 35: upn: is there twice", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := collect([]byte(tt.content), "")
			if c.err != nil {
				t.Fatal(c.err)
			}
			if len(c.bad) != 1 || c.bad[0] != tt.want {
				t.Errorf("bad %q, want %q", c.bad, tt.want)
			}
			if len(c.devices) != tt.devices {
				t.Errorf("%d devices, want %d", len(c.devices), tt.devices)
			}
		})
	}
}

// The JSON walker trusts that the decoder checked the syntax; whatever layout
// the decoder lets pass, it must find the same members.
func TestMembersFollowEncodingJSON(t *testing.T) {
	for _, doc := range []string{
		`{}`, `{ }`, "{\t\"a\" :\n1 , \"b\":[ ] }", `{"a":"\"}","b":{"c":[{"d":"]"}]},"e":-1.5e3,"f":null}`,
		`{"\u0061\\":"x","":true}`, `{"a":[1,2,{"b":"c,}"}],"z":"\\"}`,
	} {
		want := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(doc), &want); err != nil {
			t.Fatal(err)
		}
		got := map[string]json.RawMessage{}
		err := members(value(doc), func(name string, v value) error {
			got[name] = json.RawMessage(v)
			return nil
		})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q (%v)", doc, got, want, err)
		}
	}
}
