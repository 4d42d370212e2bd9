package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMakefileRunsEveryTest: a package with tests that neither `make test` nor
// `make test-long` runs would rot unseen. Make itself says what it would run.
func TestMakefileRunsEveryTest(t *testing.T) {
	patterns := testedPatterns(t, "test", "test-long")
	var covered []string
	for _, p := range packages(t, patterns...) {
		covered = append(covered, p.ImportPath)
	}
	for _, p := range packages(t) {
		if p.tested() && !slices.Contains(covered, p.ImportPath) {
			t.Errorf("%s has tests that neither make test nor make test-long runs: add it to a list in Makefile", p.room())
		}
	}
}

// TestMakefileNamesPackages: a pattern that matches nothing runs nothing, which
// go test only warns about.
func TestMakefileNamesPackages(t *testing.T) {
	all := packages(t)
	for _, pattern := range testedPatterns(t, "test", "test-long") {
		dir, below := strings.CutSuffix(strings.TrimPrefix(pattern, "./"), "/...")
		if !slices.ContainsFunc(all, func(p goPackage) bool {
			return p.tested() && (p.room() == dir || below && strings.HasPrefix(p.room(), dir+"/"))
		}) {
			t.Errorf("%s in Makefile matches no package with tests", pattern)
		}
	}
}

// TestMakeFuzzRunsEveryTarget: in place of the go tool, a program that does nothing.
func TestMakeFuzzRunsEveryTarget(t *testing.T) {
	mk, err := exec.LookPath("make")
	if err != nil {
		t.Skip("make is not installed")
	}
	cmd := exec.Command(mk, "--no-print-directory", "fuzz", "GO=true")
	cmd.Dir = repository
	cmd.Env = append(cmd.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make fuzz: %v\n%s", err, out)
	}
	run := strings.Split(string(out), "\n")
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	found := 0
	for _, p := range packages(t) {
		for _, file := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			text, err := os.ReadFile(filepath.Join(repository, p.room(), file))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range target.FindAllStringSubmatch(string(text), -1) {
				found++
				if !slices.ContainsFunc(run, func(line string) bool {
					return strings.HasPrefix(line, "== "+m[1]+" (") && strings.HasSuffix(line, "/"+p.room()+")")
				}) {
					t.Errorf("make fuzz leaves out %s of %s", m[1], p.room())
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("%d fuzz targets found", found)
	}
}

// testedPatterns are the package patterns of every `go test` that runs all tests
// of its packages when make makes the targets.
func testedPatterns(t *testing.T, targets ...string) []string {
	t.Helper()
	mk, err := exec.LookPath("make")
	if err != nil {
		t.Skip("make is not installed")
	}
	cmd := exec.Command(mk, append([]string{"--dry-run", "--no-print-directory"}, targets...)...)
	cmd.Dir = repository
	cmd.Env = append(cmd.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // also below another make
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("make --dry-run: %v", err)
	}
	var patterns []string
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		i := slices.Index(words, "test")
		if i < 1 || !strings.HasSuffix(words[i-1], "go") || slices.Contains(words, "-run") {
			continue
		}
		for _, w := range words[i+1:] {
			if strings.HasPrefix(w, "./") {
				patterns = append(patterns, w)
			}
		}
	}
	if len(patterns) < 3 {
		t.Fatalf("make runs the tests of %q alone", patterns)
	}
	return patterns
}
