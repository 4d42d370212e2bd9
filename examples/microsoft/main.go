package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gatehouse-project/gatehouse/cmd/walkthrough"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := untilOrphaned(ctx, os.Getppid)
	defer cancel()
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "microsoft:", err)
		os.Exit(1)
	}
}

// untilOrphaned ends the context when another process became the parent: `go run`
// may be killed without a word to what it runs. A second is soon enough.
func untilOrphaned(ctx context.Context, parent func() int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	first := parent()
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if parent() != first {
					cancel()
				}
			}
		}
	}()
	return ctx, cancel
}

// example is one running example.
type example struct {
	Dir     string // 0700, holds everything
	Gateway string // the binary
	Source  string // the Caddyfile that is run, as it stands in the tree
	Port    int    // of the site for people, plain HTTP
	TLS     int    // of the site for device certificates
	Admin   int    // of Caddy's admin endpoint
	App     string // host:port of the app
	Tenant  string // base URL of the emulator

	tenant  *emulator.Server
	started time.Time
}

// command parses the arguments and runs until ctx ends.
func command(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("microsoft", flag.ContinueOnError)
	port := flags.Int("port", 0, "port of the gateway (default 9080, or any free one)")
	gateway := flags.String("gateway", "", "a gateway `binary`; default: bin/gatehouse, built from this tree")
	err := flags.Parse(args)
	switch {
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if *gateway != "" {
		*gateway, err = filepath.Abs(*gateway)
		if err != nil {
			return err
		}
	}
	e := &example{Gateway: *gateway, Source: filepath.Join(root, "examples", "microsoft", "Caddyfile")}
	if e.Gateway == "" {
		fmt.Fprintln(progress, "Building bin/gatehouse; the first time takes minutes.")
		e.Gateway = filepath.Join(root, "bin", "gatehouse")
		err = build(ctx, root, e.Gateway)
		if err != nil {
			return err
		}
	}
	return e.run(ctx, out, *port)
}

// run runs until ctx ends and leaves nothing behind.
func (e *example) run(ctx context.Context, out io.Writer, port int) (err error) {
	e.started = time.Now()
	e.Dir, err = os.MkdirTemp("", "gatehouse-microsoft-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(e.Dir))
	}()
	e.Port, err = walkthrough.Port(port)
	if err != nil {
		return err
	}
	for _, p := range []*int{&e.TLS, &e.Admin} {
		*p, err = walkthrough.FreePort(0)
		if err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	e.App = l.Addr().String()
	defer walkthrough.Serve(l, http.HandlerFunc(walkthrough.App))()

	stop, err := e.startTenant()
	if err != nil {
		return err
	}
	defer stop()
	err = e.writeCaddyfile()
	if err != nil {
		return err
	}
	g, err := start(e.Gateway, []string{"run", "--config", e.file("Caddyfile"), "--adapter", "caddyfile"}, e.environment(), e.file("gateway.log"))
	if err != nil {
		return err
	}
	defer g.stop()
	err = e.waitReady(ctx, g)
	if err != nil {
		return err
	}
	err = e.print(out)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-g.done:
		return fmt.Errorf("the gateway ended; the end of its log:\n%s", walkthrough.Tail(e.file("gateway.log")))
	}
	g.stop()
	fmt.Fprintln(out, "\nStopped; removed", e.Dir)
	return nil
}

// waitReady waits until the gateway has read the whole tenant, and then until it lets
// somebody in: a device may be asked for before the listings are there.
func (e *example) waitReady(ctx context.Context, g *gateway) error {
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	go func() {
		select {
		case <-g.done:
			cancel()
		case <-limit.Done():
		}
	}()
	err := walkthrough.WaitAllowed(limit, e.url("/.gatehouse/ready"), e.file(emulator.CaseHealthy))
	if err == nil {
		err = walkthrough.WaitAllowed(limit, e.url("/"), e.file(emulator.CaseHealthy))
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("the gateway does not get ready: %w; the end of its log:\n%s", err, walkthrough.Tail(e.file("gateway.log")))
	}
	return err
}

func (e *example) file(name string) string { return filepath.Join(e.Dir, name) }

func (e *example) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", e.Port, path) }
