package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	read, write := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-ca", ca, "-devices", "5"}, write) }()
	printed := map[string]string{}
	lines := bufio.NewScanner(read)
	for printed["admin_password"] == "" && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		printed[name] = value
	}
	pem, err := os.ReadFile(printed["ca_file"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(printed["control"] + "routes")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("control: %d", resp.StatusCode)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"extra"}, {"-devices", "0"}, {"-listen", "0.0.0.0:0"}, {"-nonsense"}} {
		args = append([]string{"-ca", filepath.Join(t.TempDir(), "ca.pem")}, args...)
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
