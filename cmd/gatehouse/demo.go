package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/gatehouse-project/gatehouse/cmd/walkthrough"
	"github.com/spf13/cobra"
)

func demoCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "demo", Usage: "[--port N]",
		Short: "Shows every outcome on this machine, without network or privileges",
		Long: `
Starts the gateway on loopback with an inventory of eight devices, an app behind
it and a token issuer, and prints commands to paste: allow, grace, step-up, block
with its reasons, unknown device, undecided, revoke, explain. Everything lives in
a temporary directory that goes away with Ctrl-C.
`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Flags().Int("port", 0, "Port of the gateway (default 9080, or any free one)")
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				port, err := cmd.Flags().GetInt("port")
				if err != nil {
					return err
				}
				ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				return runDemo(ctx, cmd.OutOrStdout(), port)
			}
		},
	}
}

// demo is one running demonstration.
type demo struct {
	Dir    string // 0700, holds everything
	Port   int    // of the gateway
	Admin  int    // of Caddy's admin endpoint
	Issuer string // base URL
	App    string // host:port of the app

	operatorToken string
	started       time.Time
}

// runDemo runs until ctx ends and leaves nothing behind.
func runDemo(ctx context.Context, out io.Writer, port int) (err error) {
	d := &demo{started: time.Now()}
	d.Dir, err = os.MkdirTemp("", "gatehouse-demo-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(d.Dir))
	}()
	d.Port, err = walkthrough.Port(port)
	if err != nil {
		return err
	}
	d.Admin, err = walkthrough.FreePort(0)
	if err != nil {
		return err
	}
	is, err := newIssuer()
	if err != nil {
		return err
	}
	err = d.writeFiles()
	if err != nil {
		return err
	}

	// The issuer must answer before the gateway fetches its keys.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.Issuer = "http://" + l.Addr().String()
	is.url = d.Issuer
	stopIssuer := walkthrough.Serve(l, is.handler())
	defer stopIssuer()
	l, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.App = l.Addr().String()
	stopApp := walkthrough.Serve(l, http.HandlerFunc(walkthrough.App))
	defer stopApp()
	err = d.writeTokens(is)
	if err != nil {
		return err
	}

	err = d.load()
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, caddy.Stop())
	}()
	err = d.waitReady(ctx)
	if err != nil {
		return err
	}
	err = d.print(out)
	if err != nil {
		return err
	}
	<-ctx.Done()
	fmt.Fprintln(out, "\nStopped; removed", d.Dir)
	return nil
}

// writeFiles writes the inventories and the operator token.
func (d *demo) writeFiles() error {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	d.operatorToken = hex.EncodeToString(raw)
	now := time.Now()
	for name, content := range map[string]string{
		"devices.csv":    devicesCSV(now),
		"patch-scan.csv": patchScanCSV(),
		"operator-token": d.operatorToken + "\n",
	} {
		err := os.WriteFile(filepath.Join(d.Dir, name), []byte(content), 0o600)
		if err != nil {
			return err
		}
	}
	// The scanner's export is late: that is what the undecided answer shows.
	late := now.Add(-patchScanLate)
	return os.Chtimes(filepath.Join(d.Dir, "patch-scan.csv"), late, late)
}

// writeTokens writes one curl header file per person: commands stay short, and
// no token shows in a process list or a shell's history.
func (d *demo) writeTokens(is *issuer) error {
	for _, p := range people() {
		token, err := is.token(p)
		if err != nil {
			return err
		}
		err = os.WriteFile(filepath.Join(d.Dir, p.file), []byte("Authorization: Bearer "+token+"\n"), 0o600)
		if err != nil {
			return err
		}
	}
	return nil
}

// load writes the Caddyfile and runs it, exactly as `gatehouse run` would.
func (d *demo) load() error {
	text := d.caddyfile()
	path := filepath.Join(d.Dir, "Caddyfile")
	err := os.WriteFile(path, []byte(text), 0o600)
	if err != nil {
		return err
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": path})
	if err != nil {
		return fmt.Errorf("the demo's Caddyfile: %w", err)
	}
	// Until the configuration's own log is open Caddy writes to the terminal,
	// which belongs to the commands. Its first lines say nothing that the error,
	// if there is one, does not.
	caddy.BufferedLog()
	return caddy.Load(config, true)
}

// waitReady waits until the gateway has decided for the first time. The issuer's
// keys arrive in the background; until then the answer is 503.
func (d *demo) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := walkthrough.WaitAllowed(ctx, d.url("/"), filepath.Join(d.Dir, "alice"))
	if err != nil {
		return fmt.Errorf("the demo gateway does not get ready: %w; the end of its log:\n%s", err, walkthrough.Tail(filepath.Join(d.Dir, "gateway.log")))
	}
	return nil
}

func (d *demo) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", d.Port, path) }
