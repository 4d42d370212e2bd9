package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is Linux's USER_HZ, the unit of /proc/PID/stat.
const ticksPerSecond = 100

// slice is how long one contestant is loaded before the other one is: short
// beside the ups and downs of a shared machine, long beside a collection cycle.
const slice = 100 * time.Millisecond

// process is a running program of the benchmark.
type process struct {
	cmd  *exec.Cmd
	addr string // what it announced, if it is a role of ours
}

// role starts this program again as one of its helpers and waits for the
// address that it announces.
func role(name string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append([]string{name}, args...)...)
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe() // closes when this process ends, and the role with it
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	err = cmd.Start()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s said nothing: %w", name, err)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

// load runs the generator to its end and returns one result for each plan.
func load(ctx context.Context, plans ...*loadPlan) ([]loadResult, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	in, err := json.Marshal(duel{Plans: plans, Slice: slice})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "load")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("load generator: %w", err)
	}
	var res []loadResult
	err = json.Unmarshal(out, &res)
	if err == nil && len(res) != len(plans) {
		err = errors.New("load generator: wrong number of results")
	}
	return res, err
}

// startCaddy starts a Caddy build and waits until its site answers anything.
func startCaddy(bin, dir, caddyfile, site string, env ...string) (*process, error) {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "Caddyfile")
	err = os.WriteFile(path, []byte(caddyfile), 0o600)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(bin, "run", "--config", path, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), append(env, "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)...)
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Start()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	for range 600 {
		c, err := net.Dial("tcp", site)
		if err == nil {
			c.Close()
			return p, nil
		}
		time.Sleep(20 * time.Millisecond)
		if p.cpu() == 0 && syscall.Kill(cmd.Process.Pid, 0) != nil {
			break
		}
	}
	p.stop()
	said, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("%s does not listen on %s:\n%s", filepath.Base(bin), site, said)
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait()
}

// cpu is the user and system time that the process used so far.
func (p *process) cpu() time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	t, err := statTime(string(raw))
	if err != nil {
		return 0
	}
	return t
}

// statTime reads utime and stime, fields 14 and 15 of proc(5). The command's
// name, field 2, may hold spaces.
func statTime(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("stat line is too short")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * time.Second / ticksPerSecond, nil
}

// resident is the present resident memory in bytes.
func (p *process) resident() int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// freePort returns an address that nobody listens on now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
