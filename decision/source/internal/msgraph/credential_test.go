package msgraph

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// authority is a sign-in service and a Graph behind real sockets and TLS, below
// the paths /login and /graph, as behind a relay.
type authority struct {
	*httptest.Server
	mu     sync.Mutex
	forms  []url.Values
	accept func(url.Values) (status int, body string)
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	tenant := a.URL + "/login/" + testTenant
	switch r.URL.Path {
	case "/login/" + testTenant + "/v2.0/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":"%s/v2.0","token_endpoint":"%[1]s/oauth2/v2.0/token","authorization_endpoint":"%[1]s/oauth2/v2.0/authorize"}`, tenant)
	case "/login/" + testTenant + "/oauth2/v2.0/token":
		_ = r.ParseForm()
		a.mu.Lock()
		a.forms = append(a.forms, r.PostForm)
		a.mu.Unlock()
		status, body := 200, `{"token_type":"Bearer","expires_in":3599,"access_token":"tok"}`
		if a.accept != nil {
			status, body = a.accept(r.PostForm)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	case "/graph/v1.0/devices":
		fmt.Fprint(w, `{"value":[]}`)
	default:
		http.NotFound(w, r)
	}
}

func (a *authority) requests() []url.Values {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]url.Values(nil), a.forms...)
}

func (a *authority) client(t *testing.T, k CredentialOptions) *Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	return newClient(t, Options{
		Name: "corp", Tenant: testTenant, ClientID: testClient, Credential: k, RootCAs: roots,
		Cloud: Cloud{Authority: a.URL + "/login", Graph: a.URL + "/graph"},
	})
}

func TestClientSecret(t *testing.T) {
	a := newAuthority(t)
	c := a.client(t, CredentialOptions{Secret: testSecret})
	if err := do(t, c); err != nil {
		t.Fatal(err)
	}
	form := a.requests()[0]
	if form.Get("client_id") != testClient || form.Get("client_secret") != testSecret || form.Get("grant_type") != "client_credentials" {
		t.Errorf("token request %v", form)
	}
	if scope := strings.Fields(form.Get("scope"))[0]; scope != a.URL+"/graph/.default" {
		t.Errorf("scope %s", scope)
	}
}

func TestUntrustedAuthority(t *testing.T) {
	a := newAuthority(t)
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	c := newClient(t, Options{
		Tenant: testTenant, ClientID: testClient, Credential: CredentialOptions{Secret: testSecret},
		Cloud: Cloud{Authority: a.URL + "/login", Graph: a.URL + "/graph"},
	})
	e := wantKind(t, do(t, c), KindUnavailable)
	if !strings.Contains(e.Error(), "certificate") || !strings.Contains(e.Error(), "inspects TLS") {
		t.Errorf("error %q does not say why", e.Error())
	}
}

// A secret that was corrected is used at once, although the wrong one opened a
// pause; a new one is used for the next token.
func TestSecretFileRotates(t *testing.T) {
	a := newAuthority(t)
	file := filepath.Join(t.TempDir(), "secret")
	write := func(s string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	a.accept = func(form url.Values) (int, string) {
		if form.Get("client_secret") != "right" {
			return 401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}`
		}
		return 200, `{"token_type":"Bearer","expires_in":3599,"access_token":"tok"}`
	}
	now := time.Now()
	write("wrong\n", now)
	c := a.client(t, CredentialOptions{SecretFile: file})
	wantKind(t, do(t, c), KindConfig)
	write("right\n", now.Add(time.Second))
	s := &c.tokens[Graph]
	wantKind(t, do(t, c), KindConfig) // the file is looked at once a second
	s.mu.Lock()
	s.looked = s.looked.Add(-2 * stampGap)
	s.mu.Unlock()
	if err := do(t, c); err != nil {
		t.Errorf("with the right secret: %v", err)
	}
	if got := len(a.requests()); got != 2 {
		t.Errorf("%d token requests, want 2", got)
	}
}

func TestUnusableSecretFiles(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": " \n", "large": strings.Repeat("x", maxCredentialFile+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"empty", "large", "missing", "."} {
		file := filepath.Join(dir, name)
		c := a.client(t, CredentialOptions{SecretFile: file})
		e := wantKind(t, do(t, c), KindConfig)
		if !strings.Contains(e.Error(), file) {
			t.Errorf("%s: error %q does not name the file", name, e.Error())
		}
	}
	if got := len(a.requests()); got != 0 {
		t.Errorf("%d token requests without a secret", got)
	}
}

func selfSigned(t *testing.T, key any, public any, until time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gatehouse"}, NotBefore: until.Add(-time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
}

// signedBy checks the assertion of a token request.
func signedBy(t *testing.T, form url.Values, key *rsa.PublicKey, audience string) {
	t.Helper()
	if got := form.Get("client_assertion_type"); got != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Errorf("assertion type %q", got)
	}
	token, err := jwt.Parse(form.Get("client_assertion"), func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"PS256"}), jwt.WithAudience(audience), jwt.WithIssuer(testClient), jwt.WithSubject(testClient))
	if err != nil || !token.Valid {
		t.Errorf("assertion: %v", err)
	}
}

func TestCertificatePEM(t *testing.T) {
	a := newAuthority(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client.pem")
	if err = os.WriteFile(file, selfSigned(t, key, key.Public(), time.Now().Add(time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	c := a.client(t, CredentialOptions{CertificateFile: file})
	if err = do(t, c); err != nil {
		t.Fatal(err)
	}
	signedBy(t, a.requests()[0], &key.PublicKey, a.URL+"/login/"+testTenant+"/oauth2/v2.0/token")
}

func TestCertificatePKCS12(t *testing.T) {
	a := newAuthority(t)
	c := a.client(t, CredentialOptions{CertificateFile: "testdata/client.p12", CertificatePassword: "open-sesame"})
	if err := do(t, c); err != nil {
		t.Fatal(err)
	}
	certs, _, err := loadCertificate("testdata/client.p12", "open-sesame")
	if err != nil {
		t.Fatal(err)
	}
	signedBy(t, a.requests()[0], certs[0].PublicKey.(*rsa.PublicKey), a.URL+"/login/"+testTenant+"/oauth2/v2.0/token")
}

func TestUnusableCertificates(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"expired.pem": selfSigned(t, old, old.Public(), time.Now().Add(-time.Hour)),
		"curve.pem":   selfSigned(t, curve, curve.Public(), time.Now().Add(time.Hour)),
		"garbage.pem": []byte("garbage"),
	} {
		if err = os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ file, password, want string }{
		{filepath.Join(dir, "expired.pem"), "", "expired on"},
		{filepath.Join(dir, "curve.pem"), "", "RSA"},
		{filepath.Join(dir, "garbage.pem"), "", "want PEM"},
		{filepath.Join(dir, "missing.pem"), "", "no such file"},
		{"testdata/client.p12", "wrong-password", "password"},
		{"testdata/modern.p12", "open-sesame", "-legacy"},
	} {
		c := a.client(t, CredentialOptions{CertificateFile: tt.file, CertificatePassword: tt.password})
		e := wantKind(t, do(t, c), KindConfig)
		if !strings.Contains(e.Error(), tt.want) || tt.password != "" && strings.Contains(e.Error(), tt.password) {
			t.Errorf("%s: error %q does not say %q", tt.file, e.Error(), tt.want)
		}
	}
}

func TestWorkloadIdentity(t *testing.T) {
	a := newAuthority(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("cluster-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
	t.Setenv("AZURE_CLIENT_ID", testClient)
	t.Setenv("AZURE_TENANT_ID", testTenant)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	c := newClient(t, Options{
		Credential: CredentialOptions{WorkloadIdentity: true}, RootCAs: roots,
		Cloud: Cloud{Authority: a.URL + "/login", Graph: a.URL + "/graph"},
	})
	if err := do(t, c); err != nil {
		t.Fatal(err)
	}
	if got := a.requests()[0].Get("client_assertion"); got != "cluster-token" {
		t.Errorf("assertion %q, want the cluster's token", got)
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "")
	if err := os.Unsetenv("AZURE_FEDERATED_TOKEN_FILE"); err != nil {
		t.Fatal(err)
	}
	c = newClient(t, Options{Credential: CredentialOptions{WorkloadIdentity: true}, RootCAs: roots, Cloud: Cloud{Authority: a.URL + "/login", Graph: a.URL + "/graph"}})
	if e := wantKind(t, do(t, c), KindConfig); !strings.Contains(e.Error(), "token file") {
		t.Errorf("error %q", e.Error())
	}
}

// The platform's token service of App Service, with a user-assigned identity. A
// refused token is not taken from the library's cache again.
func TestManagedIdentity(t *testing.T) {
	var queries []url.Values
	var mu sync.Mutex
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		queries = append(queries, r.URL.Query())
		if r.Header.Get("X-IDENTITY-HEADER") != "header-secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{
			"access_token": fmt.Sprint("mi", len(queries)), "token_type": "Bearer",
			"expires_on": fmt.Sprint(time.Now().Add(time.Hour).Unix()), "resource": r.URL.Query().Get("resource"),
		})
	}))
	defer local.Close()
	t.Setenv("IDENTITY_ENDPOINT", local.URL)
	t.Setenv("IDENTITY_HEADER", "header-secret")
	var used []string
	graph := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		used = append(used, r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		if len(used) == 1 {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, `{}`)
	}))
	defer graph.Close()
	roots := x509.NewCertPool()
	roots.AddCert(graph.Certificate())
	c := newClient(t, Options{
		Credential: CredentialOptions{ManagedIdentity: true, ManagedIdentityID: testClient}, RootCAs: roots,
		Cloud: Cloud{Graph: graph.URL},
	})
	if err := do(t, c); err != nil {
		t.Fatal(err)
	}
	if len(queries) != 2 || queries[0].Get("resource") != graph.URL || queries[0].Get("client_id") != testClient {
		t.Errorf("asked for %v", queries)
	}
	if len(used) != 2 || used[0] != "Bearer mi1" || used[1] != "Bearer mi2" {
		t.Errorf("used %v, want two tokens", used)
	}
}
