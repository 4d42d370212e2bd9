package main

import (
	"strings"
	"testing"
)

const sample = `package decision

func (e Effect) String() string { if e == 1 { return "x" }; return "y" }

func f(a, b bool, k Kind) Tri {
	if a && b {
		return No
	}
	switch k {
	case RequireUser:
		return Yes
	case RequireGroup:
	}
	return Unknown
}

func g(a bool) bool {
	switch {
	case a || !a:
		return a
	}
	return false
}
`

func TestInstrument(t *testing.T) {
	var mutants []mutant
	out, err := instrument("x.go", []byte(sample), &mutants)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`if e == 1 { return "x" }; return "y"`, // naming is left alone
		"if mutantFlip(1, (mutantOn(2) || a) && (mutantOn(3) || b)) {",
		"if mutantOn(4) { return Yes }; return No",
		"case mutantCase(5, RequireUser):",
		"if mutantOn(6) { return No }; return Yes",
		"case RequireGroup:", // an empty case changes nothing
		"if mutantOn(7) { return Yes }; return Unknown",
		"case mutantFlip(8, (!mutantOn(9) && (a)) || (!mutantOn(10) && (!a))):",
		"return mutantFlip(11, a)",
		"return mutantFlip(12, false)",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("missing %q in:\n%s", want, out)
		}
	}
	if len(mutants) != 12 {
		t.Errorf("%d mutants, want 12: %v", len(mutants), mutants)
	}
	if got, want := mutants[3].String(), "x.go:7: f: return Yes instead of No"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
