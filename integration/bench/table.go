package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// table writes the results as Markdown.
func table(list []contestant, results map[string][]pair, counts bool, rounds int, seconds time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. %d rounds of %s.", machine(), rounds, seconds)
	if !counts {
		b.WriteString(" Instructions cannot be counted on this machine: the ratios are of CPU time.")
	}
	b.WriteString("\n\n| load | contestant | CPU us/request | CPU vs stock (min-max) | instructions vs stock | requests/s vs stock | p50 us, beside stock | p99 vs stock | resident MiB, beside stock | target |\n" +
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range list {
		c := &list[i]
		pairs := results[c.key]
		ratio := func(f func(*sample) float64) (mid, low, high float64) { return spread(pairs, f) }
		cpu, low, high := ratio(func(s *sample) float64 { return s.cpu })
		instructions := "-"
		if counts {
			mid, low, high := ratio(func(s *sample) float64 { return s.instructions })
			instructions = fmt.Sprintf("%.3f (%.3f-%.3f)", mid, low, high)
		}
		rate, _, _ := ratio(func(s *sample) float64 { return s.perSecond })
		p99, _, _ := ratio(func(s *sample) float64 { return float64(s.p99) })
		each := func(f func(*sample) float64) (it, stock float64) {
			var a, b []float64
			for _, p := range pairs {
				a, b = append(a, f(&p.it)), append(b, f(&p.stock))
			}
			return median(a), median(b)
		}
		us, _ := each(func(s *sample) float64 { return s.cpu })
		p50, p50Stock := each(func(s *sample) float64 { return float64(s.p50.Nanoseconds()) / 1000 })
		rss, rssStock := each(func(s *sample) float64 { return float64(s.resident) / (1 << 20) })
		fmt.Fprintf(&b, "| %s | %s | %.0f | **%.2f** (%.2f-%.2f) | %s | %.2f | %.0f, %.0f | %.2f | %.0f, %.0f | %s |\n",
			kinds[c.kind].name, c.name, us, cpu, low, high, instructions, rate, p50, p50Stock, p99, rss, rssStock, c.target)
	}
	if f, t := results["forward"], results["token"]; f != nil && t != nil {
		forward, _, _ := spread(f, func(s *sample) float64 { return s.cpu })
		token, _, _ := spread(t, func(s *sample) float64 { return s.cpu })
		fmt.Fprintf(&b, "\nTotal CPU of forward_auth to a remembering authoriser: %.2f times that of Gatehouse.\n", forward/token)
	}
	var up []float64
	for _, pairs := range results {
		for _, p := range pairs {
			up = append(up, p.stock.upstream)
		}
	}
	fmt.Fprintf(&b, "Upstream, not counted above: %.0f us of CPU per request.\n", median(up))
	return b.String()
}

// spread is the median, lowest and highest ratio of contestant to stock.
func spread(pairs []pair, f func(*sample) float64) (mid, low, high float64) {
	var all []float64
	for _, p := range pairs {
		if stock := f(&p.stock); stock > 0 {
			all = append(all, f(&p.it)/stock)
		}
	}
	if len(all) == 0 {
		return 0, 0, 0
	}
	return median(all), slices.Min(all), slices.Max(all)
}

// median of a list; 0 if it is empty.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// machine describes where this ran.
func machine() string {
	model := runtime.GOARCH
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%s, %d cores, kernel %s, %s, load average %s", model, runtime.NumCPU(),
		strings.TrimSpace(string(kernel)), runtime.Version(), strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " "))
}
