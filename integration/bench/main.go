package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run of this program.
type bench struct {
	*material
	ctx      context.Context
	seconds  time.Duration
	upstream *process
	binaries string
	counts   bool // perf can count instructions
	profile  string
}

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "load":
		err = generate()
	case len(os.Args) > 1 && os.Args[1] == "upstream":
		err = serveUpstream()
	case len(os.Args) > 2 && os.Args[1] == "authoriser":
		err = serveAuthoriser(os.Args[2])
	default:
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	rounds := flag.Int("rounds", 5, "how often each contestant runs")
	seconds := flag.Float64("seconds", 3, "measured time of one run")
	only := flag.String("only", "", "contestants to run, or cold for the first read of a tenant, comma-separated; default all")
	out := flag.String("o", "", "file for the table; default standard output")
	tokens := flag.Int("tokens", 20_001, "tokens to sign: as many as the load with new tokens can use up")
	binaries := flag.String("binaries", "", "directory with ready-built stock, plain and shipped; default: build them")
	profile := flag.String("profile", "", "write a CPU profile of each contestant's last run to this directory")
	flag.Parse()
	if *rounds < 1 || *seconds < 0.2 || *tokens <= identities {
		return fmt.Errorf("rounds, seconds or tokens too small: at least 1, 0.2 and %d", identities+1)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	list, cold, err := choose(*only)
	if err != nil {
		return err
	}
	var text string
	if len(list) > 0 {
		b := &bench{ctx: ctx, seconds: time.Duration(*seconds * float64(time.Second)), profile: *profile, counts: canCount(ctx), binaries: *binaries}
		text, err = b.run(dir, list, *rounds, *tokens)
		if err != nil {
			return err
		}
	}
	if cold {
		rows, err := coldSync(ctx, dir)
		if err != nil {
			return err
		}
		text = strings.TrimPrefix(text+"\n"+rows, "\n")
	}
	if *out == "" {
		fmt.Print(text)
		return nil
	}
	return os.WriteFile(*out, []byte(text), 0o644)
}

// choose finds what -only names; nothing there means all.
func choose(only string) (list []contestant, cold bool, err error) {
	if only == "" {
		return contestants, true, nil
	}
	for _, key := range strings.Split(only, ",") {
		if key == coldKey {
			cold = true
			continue
		}
		i := slices.IndexFunc(contestants, func(c contestant) bool { return c.key == key })
		if i < 0 {
			return nil, false, fmt.Errorf("no contestant is called %q", key)
		}
		list = append(list, contestants[i])
	}
	return list, cold, nil
}

// run lets the contestants compete and returns the table.
func (b *bench) run(dir string, list []contestant, rounds, tokens int) (string, error) {
	if b.binaries == "" {
		progress("building")
		b.binaries = dir
		err := build(b.ctx, dir)
		if err != nil {
			return "", err
		}
	}
	progress("signing %d tokens", tokens)
	var err error
	b.material, err = newMaterial(dir, tokens)
	if err != nil {
		return "", err
	}
	b.upstream, err = role("upstream")
	if err != nil {
		return "", err
	}
	defer b.upstream.stop()
	results, err := b.compete(list, rounds)
	if err != nil {
		return "", err
	}
	return table(list, results, b.counts, rounds, b.seconds), nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

const module = "github.com/gatehouse-project/gatehouse"

// build makes stock Caddy, Gatehouse without a profile, and Gatehouse as it is
// shipped: with the profile in its directory.
func build(ctx context.Context, dir string) error {
	for _, b := range [][]string{
		{"stock", "off", module + "/integration/bench/stock"},
		{"plain", "off", module + "/cmd/gatehouse"},
		{"shipped", "auto", module + "/cmd/gatehouse"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-pgo="+b[1], "-o", filepath.Join(dir, b[0]), b[2])
		cmd.Stderr = os.Stderr
		err := cmd.Run()
		if err != nil {
			return fmt.Errorf("building %s: %w", b[0], err)
		}
	}
	return nil
}

// pair is one run of a contestant and of stock Caddy, slice by slice in turn.
type pair struct{ stock, it sample }

// compete runs everything, round by round, so that a busy minute of the machine
// hits every contestant alike.
func (b *bench) compete(list []contestant, rounds int) (map[string][]pair, error) {
	results := map[string][]pair{}
	for round := range rounds {
		for i := range list {
			c := &list[i]
			p, err := b.measure(c, round == 0, round == rounds-1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.key, err)
			}
			results[c.key] = append(results[c.key], p)
			progress("round %d %-8s cpu %.1f us, stock %.1f us, ratio %.3f", round+1, c.key, p.it.cpu, p.stock.cpu, p.it.cpu/p.stock.cpu)
		}
	}
	return results, nil
}
