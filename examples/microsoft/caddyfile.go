package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/gatehouse-project/gatehouse/cmd/walkthrough"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// edit is one change of the Caddyfile: text that must be there, as often as times
// says, and what comes in its place.
type edit struct {
	from, to string
	times    int
}

// edits turn the production form into one for this machine: the tenant is the
// emulator, everything listens on loopback, secrets lie in the temporary directory.
func (e *example) edits() []edit {
	file := func(name string) string { return walkthrough.CaddyQuote(e.file(name)) }
	secret := func(name string) string { return walkthrough.CaddyQuote("{file." + e.file(name) + "}") }
	ca := "ca_file " + file("tenant-ca.pem")
	return []edit{
		{"\tgrace_period 10s\n", fmt.Sprintf("\tadmin 127.0.0.1:%d\n\tauto_https off\n\tgrace_period 2s\n", e.Admin), 1},
		{"audience {env.APP_ID}\n", "audience {env.APP_ID}\n\t\t\tjwks file " + file("tenant-keys.json") + "\n", 1},
		{"/etc/gatehouse/device-ca.pem", file("device-ca.pem"), 2},
		{
			"client_secret {file./run/secrets/gatehouse-entra}\n",
			"client_secret " + secret("client-secret") + "\n\t\t\tendpoint authority " + e.Tenant + "/login\n\t\t\tendpoint graph " + e.Tenant +
				"/graph\n\t\t\tendpoint defender " + e.Tenant + "/defender\n\t\t\tendpoint intune " + e.Tenant + "/nac-resource/\n\t\t\t" + ca + "\n",
			1,
		},
		{"https://cm01.corp.example/AdminService", e.Tenant + "/cm/AdminService", 1},
		{
			"kerberos svc-gatehouse@CORP.EXAMPLE /etc/gatehouse/gatehouse.keytab\n",
			"basic " + emulator.AdminUser + " " + secret("admin-password") + "\n\t\t\t" + ca + "\n", 1,
		},
		{"\nintranet.corp.example {\n", fmt.Sprintf("\nhttp://127.0.0.1:%d {\n\tbind 127.0.0.1\n", e.Port), 1},
		{"\nwifi.corp.example {\n", fmt.Sprintf("\nhttps://localhost:%d {\n\tbind 127.0.0.1\n", e.TLS), 1},
		{"\ttls {\n", "\ttls " + file("server.pem") + " " + file("server.key") + " {\n", 1},
		{"app.corp.example:8080", e.App, 2},
	}
}

// writeCaddyfile writes the edited Caddyfile. An edit that does not fit is an error:
// the file must stay the one that people copy.
func (e *example) writeCaddyfile() error {
	raw, err := os.ReadFile(e.Source)
	if err != nil {
		return err
	}
	text := string(raw)
	for _, x := range e.edits() {
		if n := strings.Count(text, x.from); n != x.times {
			return fmt.Errorf("%s has %q %d times, want %d", e.Source, strings.TrimSpace(x.from), n, x.times)
		}
		text = strings.ReplaceAll(text, x.from, x.to)
	}
	return os.WriteFile(e.file("Caddyfile"), []byte(text), 0o600)
}

// environment is what the production form takes from it; everything that the gateway
// keeps goes to the temporary directory.
func (e *example) environment() []string {
	return append(append(os.Environ(), e.settings()...), "HOME="+e.Dir, "XDG_DATA_HOME="+e.Dir, "XDG_CONFIG_HOME="+e.Dir)
}

// settings are the placeholders of the Caddyfile that are no secrets.
func (e *example) settings() []string {
	return []string{"TENANT_ID=" + emulator.DefaultTenant, "APP_ID=" + emulator.DefaultClientID, "CLIENT_ID=" + emulator.DefaultClientID}
}
