package msgraph

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const maxCredentialFile = 64 << 10

// secretError is a credential on this machine that cannot be used.
type secretError struct{ err error }

func (e *secretError) Error() string { return e.err.Error() }

// requestToken gets a new token. The credential is made anew each time: its
// library keeps tokens that we want to be rid of, and files are read anew.
func (c *Client) requestToken(ctx context.Context, res Resource, replace bool, claims string) (azcore.AccessToken, *Error) {
	x := &tokenExchange{authority: c.authority, via: c.transport, peer: &c.signIn}
	cred, err := c.credential(x)
	if err != nil {
		return azcore.AccessToken{}, c.tokenFailure(ctx, x, err)
	}
	if replace && claims == "" && c.o.Credential.ManagedIdentity {
		// A process has one cache of these; only claims make the library pass it by.
		claims = fmt.Sprintf(`{"access_token":{"nbf":{"essential":true,"value":"%d"}}}`, time.Now().Unix())
	}
	tok, err := cred.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{c.audience(res) + "/.default"}, Claims: claims, EnableCAE: claims != "",
	})
	if err != nil {
		return azcore.AccessToken{}, c.tokenFailure(ctx, x, err)
	}
	if tok.Token == "" || strings.ContainsAny(tok.Token, " \t\r\n") {
		return azcore.AccessToken{}, &Error{Kind: KindAnswer, Message: "token endpoint gave no usable token"}
	}
	if time.Until(tok.ExpiresOn) < time.Minute {
		return azcore.AccessToken{}, &Error{Kind: KindAnswer, Message: "token endpoint gave a token that has expired or is about to", hint: "check this machine's clock"}
	}
	return tok, nil
}

// audience is the resource that a token is for, as written in a scope.
func (c *Client) audience(res Resource) string {
	switch res {
	case Defender:
		return c.o.Cloud.DefenderAudience
	case Intune:
		return c.o.Cloud.Intune
	}
	return strings.TrimSuffix(c.o.Cloud.Graph, "/")
}

// credential makes the one that is configured.
func (c *Client) credential(x *tokenExchange) (azcore.TokenCredential, error) {
	k, authority := c.o.Credential, c.authority
	o := azcore.ClientOptions{
		// A path is put in front by the transport: the library drops it.
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: "https://" + authority.Host + "/"},
		Transport: x,
		Retry:     policy.RetryOptions{MaxRetries: -1}, // ours are paced by the budget
	}
	private := !knownAuthority(authority.Host)
	switch {
	case k.ManagedIdentity:
		o.Retry = policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Second} // as the local service asks for
		if x.via = c.local; os.Getenv("IDENTITY_SERVER_THUMBPRINT") != "" && c.o.Transport == nil {
			// Service Fabric: the library pins a certificate, and needs the bare client for that.
			o.Transport = &http.Client{Transport: c.local, CheckRedirect: noRedirect}
		}
		m := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: o}
		if k.ManagedIdentityID != "" {
			m.ID = azidentity.ClientID(k.ManagedIdentityID)
		}
		return azidentity.NewManagedIdentityCredential(m)
	case k.WorkloadIdentity:
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: o, ClientID: c.o.ClientID, TenantID: c.o.Tenant, DisableInstanceDiscovery: private,
		})
	case k.CertificateFile != "":
		certs, key, err := loadCertificate(k.CertificateFile, k.CertificatePassword)
		if err != nil {
			return nil, &secretError{err}
		}
		return azidentity.NewClientCertificateCredential(c.o.Tenant, c.o.ClientID, certs, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: private})
	}
	secret, err := k.secret()
	if err != nil {
		return nil, &secretError{err}
	}
	x.secret = secret
	c.secret.Store(&secret)
	return azidentity.NewClientSecretCredential(c.o.Tenant, c.o.ClientID, secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: private})
}

func (k CredentialOptions) secret() (string, error) {
	if k.Secret != "" {
		return k.Secret, nil
	}
	b, err := readFile(k.SecretFile)
	if err != nil {
		return "", fmt.Errorf("client secret file: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return "", fmt.Errorf("client secret file %s is empty", k.SecretFile)
	}
	return secret, nil
}

// loadCertificate reads certificates and their key, and says before Microsoft
// does, and better, if they cannot work.
func loadCertificate(path, password string) ([]*x509.Certificate, any, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("client certificate file: %w", err)
	}
	certs, key, err := azidentity.ParseCertificates(b, []byte(password))
	if err != nil {
		return nil, nil, fmt.Errorf("client certificate file %s: want PEM with a PKCS#8 RSA key, or PKCS#12 with its password (made by openssl pkcs12 -export -legacy): %s", path, clean(err.Error(), password))
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("client certificate file %s: key is not an RSA key", path)
	}
	for _, cert := range certs {
		if private.PublicKey.Equal(cert.PublicKey) && time.Now().After(cert.NotAfter) {
			return nil, nil, fmt.Errorf("client certificate file %s: expired on %s", path, cert.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	return certs, key, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCredentialFile+1))
	if err == nil && len(b) > maxCredentialFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxCredentialFile)
	}
	return b, err
}

// credentialStamp changes when the file of the credential does.
func (k CredentialOptions) credentialStamp() string {
	path := firstOf(k.SecretFile, k.CertificateFile)
	if k.WorkloadIdentity {
		path = os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
	}
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}
