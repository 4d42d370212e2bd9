package house

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxLines    = 600
	maxMedian   = 200
	repository  = "../.."
	generatedBy = "// Code generated"
)

func TestFilesStaySmall(t *testing.T) {
	var sizes []int
	err := filepath.WalkDir(repository, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		n := lines(t, p)
		if n > maxLines {
			t.Errorf("%s has %d lines, more than %d", p, n, maxLines)
		}
		if !strings.HasSuffix(p, "_test.go") {
			sizes = append(sizes, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(sizes)
	if median := sizes[len(sizes)/2]; median > maxMedian {
		t.Errorf("the median file has %d lines, more than %d", median, maxMedian)
	}
}

func TestEveryPackageHasDoc(t *testing.T) {
	for _, p := range packages(t) {
		dir := filepath.Join(repository, p.room())
		if strings.Contains(p.ImportPath, "/cmd/") || len(p.GoFiles) == 0 {
			continue
		}
		_, err := os.Stat(filepath.Join(dir, "doc.go"))
		if err != nil {
			t.Errorf("%s has no doc.go", p.ImportPath)
		}
	}
}

func lines(t *testing.T, p string) int {
	t.Helper()
	f, err := os.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); n++ {
		if n == 0 && strings.HasPrefix(sc.Text(), generatedBy) {
			return 0
		}
	}
	return n
}
