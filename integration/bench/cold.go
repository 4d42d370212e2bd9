package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// coldKey is what -only calls the first read of a tenant, which is no contestant:
// there is nothing at stock Caddy to compare it with.
const coldKey = "cold"

// coldSync measures the first read of a tenant of 100,000 devices by each source that
// lists one, and returns a table. The measuring is a test's: it runs in a time of its
// own, so that the waiting for published limits costs none, and fails where one of
// them was not kept.
func coldSync(ctx context.Context, dir string) (string, error) {
	progress("reading a tenant of 100,000 devices for the first time")
	file := filepath.Join(dir, "cold.md")
	cmd := exec.CommandContext(ctx, "go", "test", "-pgo=off", "-count=1", "-timeout", "20m", "-run", "^TestColdSync$", module+"/integration/sources")
	cmd.Env = append(os.Environ(), "GATEHOUSE_LONG=1", "GATEHOUSE_COLD_TABLE="+file)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("first read of a tenant: %w\n%s", err, out)
	}
	rows, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("First read of a tenant of 100,000 devices, %s. Every published limit was kept.\n\n%s", machine(), rows), nil
}
