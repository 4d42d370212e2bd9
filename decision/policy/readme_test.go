package policy

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
)

var update = flag.Bool("update", false, "write the table of fields in decision/README.md anew")

// kindsOf says in plain words what a field of each type holds.
var kindsOf = map[string]string{
	cel.BoolType.String():                 "true or false",
	cel.StringType.String():               "text",
	cel.TimestampType.String():            "a time",
	cel.ListType(cel.StringType).String(): "a list of texts",
}

// fieldRows is the table of everything that an expression can read: fields with
// the same kind of value share a row.
func fieldRows(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| of | fields | hold |\n|---|---|---|\n")
	for _, object := range slices.Sorted(maps.Keys(objects)) {
		rows := map[string][]string{}
		for name, f := range objects[object] {
			holds := kindsOf[f.typ.String()]
			if len(f.values) > 0 {
				holds = "`" + strings.Join(f.values, "`, `") + "`"
			}
			if holds == "" {
				t.Fatalf("%s.%s is of type %s, for which the table has no word", object, name, f.typ)
			}
			rows[holds] = append(rows[holds], "`"+name+"`")
		}
		for _, holds := range slices.Backward(slices.Sorted(maps.Keys(rows))) {
			slices.Sort(rows[holds])
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", object, strings.Join(rows[holds], ", "), holds)
		}
	}
	return b.String()
}

// TestReadmeFields compares the table of fields in decision/README.md with the code; -update
// writes it.
func TestReadmeFields(t *testing.T) {
	const file, begin, end = "../README.md", "<!-- fields -->\n", "<!-- /fields -->\n"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal(file + " has no table of fields")
	}
	want := fieldRows(t)
	switch {
	case got == want:
	case *update:
		err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table is not as the code; run go test ./decision/policy -update\ngot:\n%swant:\n%s", got, want)
	}
}
