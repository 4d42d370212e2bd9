package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "loopback `address` to serve on; port 0: a free one")
	devices := flag.Int("devices", 100, "`number` of devices in the fleet")
	seed := flag.Uint64("seed", 1, "`seed` of the fleet")
	caFile := flag.String("ca", filepath.Join(os.TempDir(), "emulator-ca.pem"), "`file` for the certificate of the emulator's authority")
	strict := flag.Bool("strict", false, "refuse what a careful client never asks")
	flag.Parse()
	if flag.NArg() > 0 || *devices < 1 {
		return fmt.Errorf("unexpected arguments, or no devices")
	}
	s := emulator.New(emulator.Options{Devices: *devices, Seed: *seed, Strict: *strict})
	if err := os.WriteFile(*caFile, s.CAPEM(), 0o644); err != nil {
		return err
	}
	base, stop, err := s.Listen(*listen)
	if err != nil {
		return err
	}
	defer stop()
	for _, line := range [][2]string{
		{"url", base}, {"ca_file", *caFile}, {"control", base + "/control/"},
		{"authority", base + "/login"}, {"graph", base + "/graph"}, {"defender", base + "/defender"},
		{"intune", base + "/nac-resource"}, {"admin_service", base + "/cm/AdminService"},
		{"tenant", emulator.DefaultTenant}, {"client_id", emulator.DefaultClientID}, {"client_secret", emulator.DefaultSecret},
		{"admin_user", emulator.AdminUser}, {"admin_password", emulator.AdminPassword},
	} {
		fmt.Printf("%s=%s\n", line[0], line[1])
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	<-ctx.Done()
	return nil
}
