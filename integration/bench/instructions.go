package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// canCount reports whether perf can count instructions on this machine. Many
// virtual machines hide the counters.
func canCount(ctx context.Context) bool {
	n, err := perf(ctx, "true")
	return err == nil && n > 0
}

// countInstructions counts user and kernel instructions of a process for d.
func countInstructions(ctx context.Context, pid int, d time.Duration) (int64, error) {
	return perf(ctx, "-p", strconv.Itoa(pid), "sleep", fmt.Sprintf("%.1f", d.Seconds()))
}

func perf(ctx context.Context, args ...string) (int64, error) {
	cmd := exec.CommandContext(ctx, "perf", append([]string{"stat", "-x,", "-e", "instructions:u,instructions:k"}, args...)...)
	var out bytes.Buffer
	cmd.Stderr = &out
	err := cmd.Run()
	if err != nil {
		return 0, fmt.Errorf("perf stat: %w", err)
	}
	return perfSum(out.String())
}

// perfSum adds the counts of perf's comma-separated lines.
func perfSum(out string) (sum int64, err error) {
	for line := range strings.Lines(out) {
		count, rest, ok := strings.Cut(line, ",")
		if !ok || !strings.Contains(rest, "instructions") {
			continue
		}
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("perf counts no instructions here: %q", count)
		}
		sum += n
	}
	return sum, nil
}
