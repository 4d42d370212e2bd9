package configmgr

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/keytab"
)

// kdcEnv switches the tests with a real key distribution centre on.
const kdcEnv = "GATEHOUSE_TEST_KDC"

// otherRealm trusts testRealm.
const otherRealm = "RESOURCE.EXAMPLE"

// centre is a realm of MIT Kerberos on a loopback port.
type centre struct {
	t         *testing.T
	dir, conf string
	env       []string
}

// newCentre makes a realm and starts its KDC. Debian has the programs in krb5-kdc and
// krb5-admin-server; nothing is installed here.
func newCentre(t *testing.T) *centre {
	t.Helper()
	if os.Getenv(kdcEnv) == "" {
		t.Skipf("set %s=1 to test with a real KDC", kdcEnv)
	}
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin"
	t.Setenv("PATH", path)
	for _, program := range []string{"krb5kdc", "kadmin.local", "kdb5_util"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not on PATH; Debian has it in krb5-kdc and krb5-admin-server", program)
		}
	}
	dir := t.TempDir()
	port := freePort(t)
	c := &centre{t: t, dir: dir, conf: filepath.Join(dir, "krb5.conf")}
	c.write("krb5.conf", fmt.Sprintf(`[libdefaults]
  default_realm = %[1]s
  dns_lookup_kdc = false
  dns_lookup_realm = false
[realms]
  %[1]s = {
    kdc = 127.0.0.1:%[2]d
  }
  %[3]s = {
    kdc = 127.0.0.1:%[2]d
  }
[domain_realm]
  .resource.example = %[3]s
`, testRealm, port, otherRealm))
	c.write("kdc.conf", fmt.Sprintf(`[kdcdefaults]
  kdc_listen = 127.0.0.1:%[2]d
  kdc_tcp_listen = 127.0.0.1:%[2]d
[realms]
  %[1]s = {
    database_name = %[3]s/principal
    key_stash_file = %[3]s/stash
    acl_file = %[3]s/acl
    max_life = 1h
    supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
  }
  %[4]s = {
    database_name = %[3]s/other
    key_stash_file = %[3]s/other.stash
    acl_file = %[3]s/acl
    max_life = 10m
    supported_enctypes = aes256-cts-hmac-sha1-96:normal
  }
[logging]
  kdc = FILE:%[3]s/kdc.log
`, testRealm, port, dir, otherRealm))
	c.env = append(os.Environ(), "KRB5_CONFIG="+c.conf, "KRB5_KDC_PROFILE="+filepath.Join(dir, "kdc.conf"))
	for _, realm := range []string{testRealm, otherRealm} {
		c.run("kdb5_util", "-r", realm, "-P", "master", "create", "-s")
		c.admin(realm, "addprinc -pw between-realms krbtgt/"+otherRealm+"@"+testRealm) // the trust
	}
	c.start(port)
	return c
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (c *centre) write(name, content string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *centre) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Env = c.env
	return cmd
}

func (c *centre) run(name string, args ...string) {
	c.t.Helper()
	if out, err := c.command(name, args...).CombinedOutput(); err != nil {
		c.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (c *centre) admin(realm, query string) {
	c.t.Helper()
	c.run("kadmin.local", "-r", realm, "-q", query)
}

func (c *centre) start(port int) {
	c.t.Helper()
	var out strings.Builder
	kdc := exec.Command("krb5kdc", "-n", "-r", testRealm, "-r", otherRealm)
	kdc.Env, kdc.Stderr, kdc.Stdout = c.env, &out, &out
	if err := kdc.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = kdc.Process.Kill()
		_ = kdc.Wait()
		if c.t.Failed() {
			log, _ := os.ReadFile(filepath.Join(c.dir, "kdc.log"))
			c.t.Logf("KDC:\n%s%s", out.String(), log)
		}
	})
	for range 200 {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.t.Fatal("the KDC does not listen")
}

// key makes a principal with a random key and returns the keytab file.
func (c *centre) key(realm, principal, file string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, file)
	c.admin(realm, "addprinc -randkey +requires_preauth "+principal)
	c.admin(realm, "ktadd -k "+path+" "+principal)
	return path
}

func TestNegotiateWithRealKDC(t *testing.T) {
	c := newCentre(t)
	account := c.key(testRealm, "svc-gatehouse", "account.keytab")
	service := c.key(testRealm, testService, "service.keytab")
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	server := behindNegotiate(t, site, func() *keytab.Keytab {
		keys, err := keytab.Load(service)
		if err != nil {
			t.Error(err)
		}
		return keys
	})
	negotiate := Negotiate{Principal: "svc-gatehouse@" + testRealm, KeytabFile: account, Krb5ConfFile: c.conf}
	o := negotiateOptions(server, negotiate)
	o.URL = strings.Replace(o.URL, "127.0.0.1", "localhost", 1) // the name in HTTP/localhost
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ServerName = "example.com" // the certificate of httptest is for that
	o.Transport = transport
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := sweepOf(t, s); len(got) != 1 {
		t.Errorf("%d devices, want 1", len(got))
	}
	if _, err := s.Lookup(t.Context(), entraKey(entraOne)); err != nil {
		t.Error(err)
	}
	n := s.client.auth.(*negotiator)
	if left := time.Until(n.have.until); left < 55*time.Minute || left > time.Hour {
		t.Errorf("the ticket is good for %s, want the hour that the realm allows", left)
	}

	t.Run("new key of the service", func(t *testing.T) {
		c.t = t
		if err := os.Remove(service); err != nil {
			t.Fatal(err)
		}
		c.admin(testRealm, "ktadd -k "+service+" "+testService)
		n.mu.Lock()
		old := *n.have
		old.since = old.since.Add(-time.Hour)
		n.have = &old
		n.mu.Unlock()
		if _, err := s.Lookup(t.Context(), entraKey(entraOne)); err != nil {
			t.Error(err)
		}
	})
	t.Run("service in a realm that trusts ours", func(t *testing.T) {
		c.t = t
		n := negotiate
		n.SPN = "HTTP/cm01.resource.example"
		c.key(otherRealm, n.SPN+"@"+otherRealm, "other.keytab")
		auth, err := newNegotiator(n, s.client.base)
		if err != nil {
			t.Fatal(err)
		}
		ticket, err := auth.(*negotiator).current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ticket.ticket.Realm != otherRealm || time.Until(ticket.until) > 10*time.Minute {
			t.Errorf("ticket of realm %s until %s, want one of %s for ten minutes", ticket.ticket.Realm, ticket.until, otherRealm)
		}
	})
	t.Run("unknown service", func(t *testing.T) {
		c.t = t
		o := o
		n := negotiate
		n.SPN = "HTTP/nobody.test.example"
		o.Auth.Negotiate = &n
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Lookup(t.Context(), entraKey(entraOne)); err == nil || !strings.Contains(err.Error(), "kerberos ticket for HTTP/nobody.test.example") {
			t.Errorf("Lookup = %v, want no ticket for the service", err)
		}
	})
	t.Run("wrong key of the account", func(t *testing.T) {
		c.t = t
		c.admin(testRealm, "cpw -randkey svc-gatehouse")
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Lookup(t.Context(), entraKey(entraOne))
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != KindSignIn {
			t.Errorf("Lookup = %v, want a failed sign-in", err)
		}
	})
}
