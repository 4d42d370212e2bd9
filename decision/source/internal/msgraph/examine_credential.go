package msgraph

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

// readsApplications is the permission to read the end of a client secret.
var readsApplications = Need{Role: "Application.Read.All", Resource: Graph, Wider: []string{"Directory.Read.All", "Application.ReadWrite.OwnedBy"}}

// examineCredential says when the credential ends, as far as that can be known.
func (c *Client) examineCredential(ctx context.Context, ask bool) checkup.Finding {
	k := c.o.Credential
	switch {
	case k.ManagedIdentity, k.WorkloadIdentity:
		return checkup.Ok(checkup.CheckCredential, "the platform renews the credential by itself")
	case k.CertificateFile != "":
		return c.examineCertificate()
	case !ask:
		return checkup.Skip(checkup.CheckCredential, "the end of the client secret is not known: there is no token to ask with")
	}
	return c.examineSecret(ctx)
}

func (c *Client) examineCertificate() checkup.Finding {
	const fix = "register a new certificate with the application, replace the file, remove the old one"
	certs, key, err := loadCertificate(c.o.Credential.CertificateFile, c.o.Credential.CertificatePassword)
	if err != nil {
		return checkup.Fail(checkup.CheckCredential, clean(err.Error(), c.o.Credential.CertificatePassword), fix)
	}
	private, _ := key.(*rsa.PrivateKey) // loadCertificate takes no other
	for _, cert := range certs {
		if private.PublicKey.Equal(cert.PublicKey) {
			return checkup.Expiry(checkup.CheckCredential, "client certificate", cert.NotBefore, cert.NotAfter, time.Now(), checkup.NoticeCredential, fix)
		}
	}
	return checkup.Skip(checkup.CheckCredential, "the end of the client certificate is not known: no certificate of the file fits its key")
}

// passwordCredential is one client secret of a Graph application. Hint is its first
// three characters.
type passwordCredential struct {
	Hint  string    `json:"hint"`
	Start time.Time `json:"startDateTime"`
	End   time.Time `json:"endDateTime"`
}

// examineSecret reads when the secrets of the application end. Whether ours is among
// them shows by the first three characters, which Graph calls its hint.
func (c *Client) examineSecret(ctx context.Context) checkup.Finding {
	claims, _, err := c.Token(ctx, Graph)
	g := Grants{roles: map[Resource][]string{Graph: claims.Roles}}
	if err != nil || !g.Has(readsApplications) {
		return checkup.Skip(checkup.CheckCredential, "the end of the client secret is not known: to read it takes the application permission Application.Read.All")
	}
	a, err := c.Do(ctx, Request{
		Endpoint: Discovery, Path: "/v1.0/applications(appId='" + url.PathEscape(c.o.ClientID) + "')",
		Query: url.Values{"$select": {"passwordCredentials"}}, Priority: "Low",
	})
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && (e.Kind == KindNotFound || e.Kind == KindPermission) {
			return checkup.Skip(checkup.CheckCredential, "the end of the client secret is not known: the application's registration cannot be read in this tenant")
		}
		f := Judge(checkup.CheckCredential, err)
		if f.State == checkup.Fault {
			f.State = checkup.Warning // the secret itself works
		}
		return f
	}
	var app struct {
		Secrets []passwordCredential `json:"passwordCredentials"`
	}
	if json.Unmarshal(a.Body, &app) != nil {
		return checkup.Skip(checkup.CheckCredential, "the end of the client secret is not known: the answer about it cannot be read")
	}
	return c.judgeSecrets(app.Secrets)
}

func (c *Client) judgeSecrets(all []passwordCredential) checkup.Finding {
	secret := c.lastSecret()
	var latest, ours passwordCredential
	for _, p := range all {
		if p.End.After(latest.End) {
			latest = p
		}
		if p.Hint != "" && strings.HasPrefix(secret, p.Hint) && p.End.After(ours.End) {
			ours = p
		}
	}
	switch {
	case latest.End.IsZero():
		return checkup.Skip(checkup.CheckCredential, "the end of the client secret is not known: the application lists none")
	case ours.End.IsZero():
		return checkup.Skip(checkup.CheckCredential, fmt.Sprintf("the end of the client secret is not known: none of the %d that the application lists begins like it", len(all)))
	}
	return checkup.Expiry(checkup.CheckCredential, "client secret", ours.Start, ours.End, time.Now(), checkup.NoticeCredential,
		"create a new secret, put it into the configured file, delete the old one")
}
