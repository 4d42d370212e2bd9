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

// measure starts a contestant afresh, warms it, loads it and ends it.
func (b *bench) measure(c *contestant, prove, last bool) (s sample, err error) {
	k := kinds[c.kind]
	b.overTLS = k.tls
	b.runDir, err = os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(b.runDir)
	b.inventoryFile = filepath.Join(b.runDir, "devices.json")
	devices, err := os.ReadFile(b.file("devices.json"))
	if err != nil {
		return s, err
	}
	err = os.WriteFile(b.inventoryFile, devices, 0o600)
	if err != nil {
		return s, err
	}
	site, err := freePort()
	if err != nil {
		return s, err
	}
	admin, err := freePort()
	if err != nil {
		return s, err
	}
	var helper *process
	helperAddr := ""
	if c.authoriser {
		helper, err = role("authoriser", b.file("key.pem"))
		if err != nil {
			return s, err
		}
		defer helper.stop()
		helperAddr = helper.addr
	}
	p, err := startCaddy(filepath.Join(b.binaries, c.binary), b.runDir, c.config(b, site, admin, helperAddr), site, c.env...)
	if err != nil {
		return s, err
	}
	defer p.stop()
	if prove {
		err := b.prove(c, site)
		if err != nil {
			return s, err
		}
	}
	warm := b.plan(&k, site, b.seconds/4)
	if warm.Once {
		warm.Once, warm.Use, warm.Skip = false, 1, 0
	} else if warm.Use > 1 {
		warm.Time = 0 // every identity once, however long that takes
		warm.Once, warm.Time = true, time.Minute
	}
	_, err = load(b.ctx, warm)
	if err != nil {
		return s, err
	}
	if c.outage {
		err := b.takeAway(admin)
		if err != nil {
			return s, err
		}
	}
	s, err = b.window(c, &k, p, helper, site)
	if err != nil || !last || b.profile == "" {
		return s, err
	}
	return s, b.takeProfile(c, &k, site, admin)
}

// window is the measured part of a run.
func (b *bench) window(c *contestant, k *kind, p, helper *process, site string) (s sample, err error) {
	counted := make(chan int64, 1)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	if b.counts {
		go func() {
			n, _ := countInstructions(ctx, p.cmd.Process.Pid, b.seconds) // 0 shows as missing
			counted <- n
		}()
	}
	used := func(p *process) time.Duration {
		if p == nil {
			return 0
		}
		return p.cpu()
	}
	before, beforeHelper, beforeUp := used(p), used(helper), used(b.upstream)
	res, err := load(b.ctx, b.plan(k, site, b.seconds))
	if err != nil {
		return s, err
	}
	after, afterHelper, afterUp := used(p), used(helper), used(b.upstream)
	if res.Bad > 0 || res.Good == 0 || res.Error != "" {
		return s, fmt.Errorf("%s: %d good answers, %d bad ones (status %d) %s", c.key, res.Good, res.Bad, res.Status, res.Error)
	}
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(res.Good) }
	s = sample{
		cpu: per(after - before + afterHelper - beforeHelper), authoriser: per(afterHelper - beforeHelper),
		upstream: per(afterUp - beforeUp), perSecond: float64(res.Good) / res.Elapsed.Seconds(),
		p50: res.P50, p99: res.P99, resident: p.resident(),
	}
	if b.counts {
		s.instructions = float64(<-counted) / 1000 / float64(res.Good)
	}
	return s, nil
}

// takeProfile loads the contestant once more and fetches a CPU profile.
func (b *bench) takeProfile(c *contestant, k *kind, site, admin string) error {
	plan := b.plan(k, site, 12*time.Second)
	if plan.Once {
		return nil // its tokens are used up
	}
	done := make(chan error, 1)
	go func() {
		_, err := load(b.ctx, plan)
		done <- err
	}()
	profile, err := get(b.ctx, "http://"+admin+"/debug/pprof/profile?seconds=10")
	if err == nil {
		err = os.WriteFile(filepath.Join(b.profile, c.key+".pprof"), []byte(profile), 0o644)
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
