package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"time"
)

// targets are the files that decide.
var targets = []string{"engine.go", "stops.go", "evaluate.go", "value.go", "cause.go", "policy.go", "posture.go", "applicability.go", "decision.go"}

// suites are tried in order until one kills the mutant.
var suites = []struct{ name, dir, run string }{
	{"vectors", "integration/vectors", "TestVectors"},
	{"unit", "decision", "."},
}

// limit bounds one run of one suite; a mutant that hangs is killed by it.
const limit = time.Minute

func main() {
	verbose := flag.Bool("v", false, "print every mutant and what kills it")
	only := flag.String("run", "", "only mutants whose description matches")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	survivors, err := run(ctx, *only, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(2)
	}
	if survivors > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, verbose bool) (survivors int, err error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return 0, err
	}
	tmp, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	mutants, err := build(ctx, tmp)
	if err != nil {
		return 0, err
	}
	if by, err := kill(ctx, tmp, 0); err != nil || by != "" {
		return 0, fmt.Errorf("without any mutant the %s tests fail (%w)", by, err)
	}
	killed := make([]string, len(mutants))
	var wg sync.WaitGroup
	var once sync.Once
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, m := range mutants {
		if !match.MatchString(m.String()) {
			killed[i] = "skipped"
			continue
		}
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wg.Done() }()
			by, e := kill(ctx, tmp, m.id)
			if e != nil {
				once.Do(func() { err = e })
			}
			killed[i] = by
		}()
	}
	wg.Wait()
	if err != nil {
		return 0, err
	}
	return report(mutants, killed, only == "", verbose), nil
}

// build compiles the mutated package into one binary per suite.
func build(ctx context.Context, tmp string) ([]mutant, error) {
	var mutants []mutant
	replace := map[string]string{}
	put := func(name string, text []byte) error {
		path := filepath.Join(tmp, name)
		target, err := filepath.Abs(filepath.Join("decision", name))
		if err != nil {
			return err
		}
		replace[target] = path
		return os.WriteFile(path, text, 0o600)
	}
	for _, name := range targets {
		src, err := os.ReadFile(filepath.Join("decision", name))
		if err != nil {
			return nil, fmt.Errorf("run it from the module's root: %w", err)
		}
		mutated, err := instrument(name, src, &mutants)
		if err != nil {
			return nil, err
		}
		if err := put(name, mutated); err != nil {
			return nil, err
		}
	}
	if err := put("mutant.go", []byte(support)); err != nil {
		return nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	overlayFile := filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return nil, err
	}
	for _, s := range suites {
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlayFile, "-o", filepath.Join(tmp, s.name+".test"), "./"+s.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	return mutants, nil
}

// kill runs the suites against one mutant and returns the one that noticed, or "".
func kill(ctx context.Context, tmp string, id int) (string, error) {
	for _, s := range suites {
		// Allocations are no decision, and an instrumented engine may allocate.
		cmd := exec.CommandContext(ctx, filepath.Join(tmp, s.name+".test"), "-test.run", s.run, "-test.skip", "Allocates", "-test.failfast",
			"-test.timeout", limit.String())
		cmd.Dir = s.dir
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", environment, id))
		err := cmd.Run()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			return s.name, nil
		case err != nil:
			return "", err
		}
	}
	return "", nil
}

// report prints the result and returns how many mutants survive that should not.
func report(mutants []mutant, killed []string, all, verbose bool) (survivors int) {
	count := map[string]int{}
	seen := map[string]bool{}
	for i, m := range mutants {
		by := killed[i]
		if by == "" {
			if why, ok := equivalents[m.key]; ok {
				seen[m.key] = true
				by = "equivalent"
				if verbose {
					fmt.Printf("equivalent  %s (%s)\n", m, why)
				}
			} else {
				survivors++
				by = "survives"
				fmt.Printf("SURVIVES    %s\n", m)
			}
		} else if verbose && by != "skipped" {
			fmt.Printf("%-11s %s\n", by, m)
		}
		count[by]++
	}
	if all {
		for key := range equivalents {
			if !seen[key] {
				survivors++
				fmt.Printf("STALE       equivalents.go names %q, which no longer exists or is killed\n", key)
			}
		}
	}
	fmt.Printf("%d mutants: %d killed by vectors, %d by unit tests, %d equivalent, %d survive\n",
		len(mutants)-count["skipped"], count["vectors"], count["unit"], count["equivalent"], count["survives"])
	return survivors
}
