package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "loopback `address` to serve on; port 0: a free one")
	devices := flags.Int("devices", 100, "`number` of devices in the fleet")
	seed := flags.Uint64("seed", 1, "`seed` of the fleet")
	caFile := flags.String("ca", filepath.Join(os.TempDir(), "emulator-ca.pem"), "`file` for the certificate of the emulator's authority")
	strict := flags.Bool("strict", false, "refuse what a careful client never asks")
	err := flags.Parse(args)
	switch {
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *devices < 1 || *devices > 1_000_000:
		return errors.New("devices must be 1 to 1000000")
	}
	s := emulator.New(emulator.Options{Devices: *devices, Seed: *seed, Strict: *strict})
	err = os.WriteFile(*caFile, s.CAPEM(), 0o644)
	if err != nil {
		return err
	}
	base, stop, err := s.Listen(*listen)
	if err != nil {
		return err
	}
	defer stop()
	for _, line := range [][2]string{
		{"url", base},
		{"ca_file", *caFile},
		{"control", base + "/control/"},
		{"authority", base + "/login"},
		{"graph", base + "/graph"},
		{"defender", base + "/defender"},
		{"intune", base + "/nac-resource"},
		{"admin_service", base + "/cm/AdminService"},
		{"tenant", emulator.DefaultTenant},
		{"client_id", emulator.DefaultClientID},
		{"client_secret", emulator.DefaultSecret},
		{"admin_user", emulator.AdminUser},
		{"admin_password", emulator.AdminPassword},
	} {
		fmt.Fprintf(out, "%s=%s\n", line[0], line[1])
	}
	<-ctx.Done()
	return nil
}
