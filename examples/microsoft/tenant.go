package main

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/examples/authority"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// fleetSize is the named cases and a crowd.
const fleetSize = 100

// stranger is the header file of a device that no service knows.
const stranger = "stranger"

// startTenant starts the emulator and writes what curl and the gateway need of it.
func (e *example) startTenant() (stop func(), err error) {
	e.tenant = emulator.New(emulator.Options{Devices: fleetSize, Seed: 1, Strict: true})
	e.Tenant, stop, err = e.tenant.Listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	err = e.writeFiles()
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func (e *example) write(name string, body []byte) error {
	return os.WriteFile(e.file(name), body, 0o600)
}

func (e *example) writeFiles() error {
	keys, err := e.keys()
	if err != nil {
		return fmt.Errorf("keys of the tenant: %w", err)
	}
	for name, body := range map[string][]byte{
		"tenant-ca.pem": e.tenant.CAPEM(), "tenant-keys.json": keys,
		"client-secret": []byte(emulator.DefaultSecret + "\n"), "admin-password": []byte(emulator.AdminPassword + "\n"),
	} {
		err := e.write(name, body)
		if err != nil {
			return err
		}
	}
	err = e.writeTokens()
	if err != nil {
		return err
	}
	return e.writeCertificates(time.Now())
}

// authorityHost is where the gateway's preset for Entra ID expects tokens and keys
// from. Nobody on this machine can be that host, so its keys come as a file.
const authorityHost = "https://login.microsoftonline.com/"

// keys is the key set of the tenant, as that host would serve it.
func (e *example) keys() ([]byte, error) {
	client := &http.Client{Transport: e.tenant.Transport(), Timeout: 10 * time.Second}
	resp, err := client.Get(e.Tenant + "/login/" + emulator.DefaultTenant + "/discovery/v2.0/keys")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	keys, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return bytes.ReplaceAll(keys, []byte(e.Tenant+"/login/"), []byte(authorityHost)), err
}

// writeTokens writes one curl header file per device, by its name: commands stay
// short, and no token shows in a process list or a shell's history. The tokens are
// of the device's primary user.
func (e *example) writeTokens() error {
	devices := e.tenant.Devices()
	for _, d := range devices {
		if d.User == nil || d.EntraID.IsZero() {
			continue // a server, or not in the directory
		}
		err := e.writeToken(d.Name, d.User, d)
		if err != nil {
			return err
		}
	}
	unknown := &emulator.Device{EntraID: emulator.MustGUID("00000666-0000-4000-8000-000000000000")}
	return e.writeToken(stranger, devices[0].User, unknown)
}

// tokenLife covers a long afternoon with the example.
const tokenLife = 12 * time.Hour

func (e *example) writeToken(name string, u *emulator.User, d *emulator.Device) error {
	token := e.tenant.UserToken(e.Tenant, emulator.TokenV2, u, d, map[string]any{
		"iss": authorityHost + emulator.DefaultTenant + "/v2.0",
		"exp": time.Now().Add(tokenLife).Unix(),
	})
	return e.write(name, []byte("Authorization: Bearer "+token+"\n"))
}

// writeCertificates makes a certificate for the site and, as Intune does, for two
// devices.
func (e *example) writeCertificates(now time.Time) error {
	server, err := authority.New(e.write, "server-ca", now)
	if err != nil {
		return err
	}
	err = server.Issue(e.write, "server", authority.Localhost(), now)
	if err != nil {
		return err
	}
	devices, err := authority.New(e.write, "device-ca", now)
	if err != nil {
		return err
	}
	for name, id := range map[string]emulator.GUID{
		emulator.CaseHealthy: e.device(emulator.CaseHealthy).Managed[0].ID, emulator.CaseNACOnly: e.device(emulator.CaseNACOnly).NAC.ID,
	} {
		err := devices.Issue(e.write, name, &x509.Certificate{
			Subject:     pkix.Name{CommonName: name},
			URIs:        []*url.URL{{Scheme: "IntuneDeviceId", Host: id.String()}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, now)
		if err != nil {
			return err
		}
	}
	return nil
}

// device finds a telling device, which every fleet of the emulator has.
func (e *example) device(name string) *emulator.Device {
	all := e.tenant.Devices()
	return all[slices.IndexFunc(all, func(d *emulator.Device) bool { return d.Name == name })]
}
