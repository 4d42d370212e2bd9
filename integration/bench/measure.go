package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sample is what one run of one contestant cost.
type sample struct {
	cpu          float64 // microseconds per request, authoriser included
	authoriser   float64 // its part
	upstream     float64 // microseconds per request, not counted in cpu
	instructions float64 // thousands per request; 0 if they cannot be counted
	perSecond    float64
	p50, p99     time.Duration
	resident     int64
}

// running is a contestant that has been started.
type running struct {
	*contestant
	dir, site, admin string
	proxy, helper    *process
}

func (r *running) file(name string) string { return filepath.Join(r.dir, name) }

// start starts a contestant afresh, with a directory of its own.
func (b *bench) start(c *contestant) (*running, error) {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return nil, err
	}
	r := &running{contestant: c, dir: dir}
	devices, err := os.ReadFile(b.file("devices.json"))
	if err == nil {
		err = os.WriteFile(r.file("devices.json"), devices, 0o600)
	}
	if err == nil {
		r.site, err = freePort()
	}
	if err == nil {
		r.admin, err = freePort()
	}
	if err == nil && c.authoriser {
		r.helper, err = role("authoriser", b.file("key.pem"))
	}
	if err == nil {
		r.proxy, err = startCaddy(filepath.Join(b.binaries, c.binary), dir, c.config(b, r), r.site, c.env...)
	}
	if err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *running) stop() {
	for _, p := range []*process{r.proxy, r.helper} {
		if p != nil {
			p.stop()
		}
	}
	_ = os.RemoveAll(r.dir)
}

// measure starts a contestant and stock Caddy, warms both, loads them slice by
// slice in turn, and ends them.
func (b *bench) measure(c *contestant, prove, last bool) (p pair, err error) {
	k := kinds[c.kind]
	var both [2]*running
	for i, one := range []*contestant{{key: "stock", kind: c.kind, binary: "stock", env: sameGC, config: (*bench).stock}, c} {
		both[i], err = b.start(one)
		if err != nil {
			return p, err
		}
		defer both[i].stop()
		if prove {
			err := b.prove(both[i])
			if err != nil {
				return p, err
			}
		}
		_, err = load(b.ctx, b.warmUp(&k, both[i].site))
		if err != nil {
			return p, err
		}
	}
	if c.outage {
		err := b.takeAway(both[1])
		if err != nil {
			return p, err
		}
	}
	p, err = b.window(both, &k)
	if err != nil || !last || b.profile == "" {
		return p, err
	}
	return p, b.takeProfile(both[1], &k)
}

// warmUp sends every identity once, and one identity for a while.
func (b *bench) warmUp(k *kind, site string) *loadPlan {
	p := b.plan(k, site, b.seconds/4)
	switch {
	case p.Once:
		p.Once, p.Use, p.Skip = false, 1, 0
	case p.Use > 1:
		p.Once, p.Time = true, time.Minute
	}
	return p
}

// usage is what a contestant's processes used so far.
type usage struct{ proxy, helper, upstream time.Duration }

func (b *bench) usage(r *running) usage {
	u := usage{proxy: r.proxy.cpu(), upstream: b.upstream.cpu()}
	if r.helper != nil {
		u.helper = r.helper.cpu()
	}
	return u
}

// window is the measured part. A contestant rests while the other one is loaded,
// so its time over the whole window is that of its own slices.
func (b *bench) window(both [2]*running, k *kind) (p pair, err error) {
	var before [2]usage
	var plans []*loadPlan
	var counted [2]chan int64
	for i, r := range both {
		before[i] = b.usage(r)
		plans = append(plans, b.plan(k, r.site, b.seconds))
		counted[i] = make(chan int64, 1)
		if b.counts {
			go func() {
				n, _ := countInstructions(b.ctx, r.proxy.cmd.Process.Pid, 2*b.seconds) // 0 shows as missing
				counted[i] <- n
			}()
		}
	}
	results, err := load(b.ctx, plans...)
	if err != nil {
		return p, err
	}
	total := results[0].Good + results[1].Good
	for i, r := range both {
		res, after := &results[i], b.usage(r)
		if res.Bad > 0 || res.Good == 0 || res.Error != "" {
			return p, fmt.Errorf("%s: %d good answers, %d bad ones (status %d) %s", r.key, res.Good, res.Bad, res.Status, res.Error)
		}
		per := func(d time.Duration, n int64) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }
		helper := after.helper - before[i].helper
		s := sample{
			cpu: per(after.proxy-before[i].proxy+helper, res.Good), authoriser: per(helper, res.Good),
			upstream: per(after.upstream-before[i].upstream, total), perSecond: float64(res.Good) / res.Elapsed.Seconds(),
			p50: res.P50, p99: res.P99, resident: r.proxy.resident(),
		}
		if b.counts {
			s.instructions = float64(<-counted[i]) / 1000 / float64(res.Good)
		}
		if i == 0 {
			p.stock = s
		} else {
			p.it = s
		}
	}
	return p, nil
}

// takeProfile loads the contestant once more and fetches a CPU profile.
func (b *bench) takeProfile(r *running, k *kind) error {
	plan := b.plan(k, r.site, 12*time.Second)
	if plan.Once {
		return nil // its tokens are used up
	}
	done := make(chan error, 1)
	go func() {
		_, err := load(b.ctx, plan)
		done <- err
	}()
	profile, err := get(b.ctx, "http://"+r.admin+"/debug/pprof/profile?seconds=10")
	if err == nil {
		err = os.WriteFile(filepath.Join(b.profile, r.key+".pprof"), []byte(profile), 0o644)
	}
	return errors.Join(err, <-done)
}

// get fetches a page of the admin endpoint.
func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var body strings.Builder
	_, err = io.Copy(&body, io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, resp.Status)
	}
	return body.String(), nil
}
