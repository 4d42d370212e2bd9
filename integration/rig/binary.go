package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// buildBinary builds cmd/gatehouse once per test process. With the race detector
// in the tests, the binary gets it too.
var buildBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("GATEHOUSE_BINARY"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "gatehouse-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gatehouse")
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
})

// Binary returns the path of the gateway binary under test. GATEHOUSE_BINARY
// names a ready-built one.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Root is the repository's root directory.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
