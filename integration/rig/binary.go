package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// built is the binary of this test process: built once, in a directory that Main
// removes.
var built struct {
	sync.Once
	main      bool // Main runs the tests
	dir, path string
	err       error
}

// dirPattern names the directories of built binaries.
const dirPattern = "gatehouse-bin-*"

// Main runs the tests of a package and removes the gateway binary that was built
// for them. Every package that uses Binary, or Start, calls it from TestMain.
func Main(m *testing.M) {
	built.main = true
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// build builds cmd/gatehouse. With the race detector in the tests, the binary
// gets it too.
func build() (path string, err error) {
	removeLeftOver()
	built.dir, err = os.MkdirTemp("", dirPattern)
	if err != nil {
		return "", err
	}
	path = filepath.Join(built.dir, "gatehouse")
	args := []string{"build", "-pgo=off", "-o", path} // the profile changes nothing but speed, and building with it takes minutes
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/gatehouse")...)
	cmd.Dir = Root()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return path, nil
}

// removeLeftOver removes what test processes left that were killed, or ended by
// a panic or a timeout: then Main does not get to it. No run takes a day.
func removeLeftOver() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPattern))
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(dir) // another user's stays
		}
	}
}

// Binary returns the path of the gateway binary under test. GATEHOUSE_BINARY
// names a ready-built one.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("GATEHOUSE_BINARY"); path != "" {
		return path
	}
	if !built.main {
		t.Fatal("the package's TestMain does not call rig.Main: nobody would remove the binary")
	}
	built.Do(func() { built.path, built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// Root is the repository's root directory.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
