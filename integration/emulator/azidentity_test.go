package emulator

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// TestAzidentity: Microsoft's own client signs in with every kind of credential.
func TestAzidentity(t *testing.T) {
	c := serve(t, Options{Devices: 3})
	options := azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: c.base + "/login"},
		Transport: c.http, Retry: policy.RetryOptions{MaxRetries: -1},
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "gatehouse"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	c.s.RegisterCertificate(cert)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(c.s.FederatedToken()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IDENTITY_ENDPOINT", c.base+"/login/msi/token")
	t.Setenv("IDENTITY_HEADER", IdentityHeader)

	tests := []struct {
		name string
		make func() (azcore.TokenCredential, error)
	}{
		{"secret", func() (azcore.TokenCredential, error) {
			return azidentity.NewClientSecretCredential(DefaultTenant, DefaultClientID, DefaultSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
		}},
		{"certificate", func() (azcore.TokenCredential, error) {
			return azidentity.NewClientCertificateCredential(DefaultTenant, DefaultClientID, []*x509.Certificate{cert}, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
		}},
		{"workload", func() (azcore.TokenCredential, error) {
			return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true, TenantID: DefaultTenant, ClientID: DefaultClientID, TokenFilePath: file})
		}},
		{"managed identity", func() (azcore.TokenCredential, error) {
			return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options})
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			cred, err := tc.make()
			if err != nil {
				t.Fatal(err)
			}
			for _, scope := range []string{graphScope, defenderScope, nacScope} {
				tok, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
				if err != nil {
					t.Fatalf("%s: %v", scope, err)
				}
				if got := time.Until(tok.ExpiresOn); got < 50*time.Minute {
					t.Errorf("%s: expires in %s", scope, got)
				}
				d := *c
				d.auth = "Bearer " + tok.Token
				path := map[string]string{
					graphScope: "/graph/v1.0/devices?$select=id", defenderScope: "/defender/api/machines", nacScope: "/nac/ciscoise/mdminfo/?ise_api_version=3",
				}[scope]
				resp := d.do("GET", path, "")
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("%s: status %d", path, resp.StatusCode)
				}
			}
		})
	}
	c.s.Check(t)
}
