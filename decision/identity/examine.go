package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

// ExamineIssuer says whether tokens of an issuer could be verified: its options, its
// metadata, its keys, its clock and its TLS certificate. It makes at most two calls
// and keeps nothing. The options are those of [NewTokens].
func ExamineIssuer(ctx context.Context, o IssuerOptions) []checkup.Finding {
	is, err := newIssuer(&o, time.Now)
	if err != nil {
		return []checkup.Finding{checkup.Fail(checkup.CheckSetting, err.Error(), "correct the issuer's block")}
	}
	if file, ok := is.keys.origin.(*jwksFile); ok {
		body, _, err := file.read(ctx)
		if err != nil {
			return []checkup.Finding{checkup.Fail(checkup.CheckFile, err.Error(), "check the path, and that the user of the gateway may read the file")}
		}
		return []checkup.Finding{is.judgeKeys(body)}
	}
	from, ok := is.keys.origin.(*jwksHTTP)
	if !ok {
		return []checkup.Finding{checkup.Skip(checkup.CheckKeys, "keys of an unknown origin")}
	}
	from.peer = &checkup.Peer{}
	found := is.examineKeys(ctx, from)
	found = append(found, from.peer.Clock())
	if f := from.peer.Certificate(time.Now()); f.State != checkup.Skipped {
		found = append(found, f)
	}
	return found
}

func (is *issuer) examineKeys(ctx context.Context, from *jwksHTTP) (found []checkup.Finding) {
	if from.url == "" {
		address, err := from.discover(ctx)
		if err != nil {
			return append(found, judgeFetch(checkup.CheckDiscovery, err, "the issuer's URL must be that of its metadata, letter by letter, and lead to {URL}/.well-known/openid-configuration"))
		}
		found = append(found, checkup.Ok(checkup.CheckDiscovery, "the metadata names this issuer"))
		from.url = address
	}
	body, _, err := from.get(ctx, from.url)
	if err != nil {
		return append(found, judgeFetch(checkup.CheckKeys, fmt.Errorf("key set: %w", err), "check the address of the key set"))
	}
	return append(found, is.judgeKeys(body))
}

// judgeFetch tells a network that fails from an answer that is wrong.
func judgeFetch(check string, err error, fix string) checkup.Finding {
	if why, untrusted := checkup.Untrusted(err); untrusted {
		return checkup.Fail(checkup.CheckCertificate, err.Error()+": "+why, "its certificate must come from an authority that this machine trusts")
	}
	_, network := errors.AsType[net.Error](err)
	if network || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		fix = "check name resolution, the proxy and the firewall between this machine and that host"
	}
	return checkup.Fail(check, err.Error(), fix)
}

// judgeKeys counts the keys of a set that verify a token of the configured
// algorithms.
func (is *issuer) judgeKeys(body []byte) checkup.Finding {
	set, err := jwksParse(body, &is.keys.rules)
	if err != nil {
		return checkup.Fail(checkup.CheckKeys, "key set: "+err.Error(), "compare the algorithms with those that the issuer signs with: "+strings.Join(is.algorithms, ", "))
	}
	text := fmt.Sprintf("%d keys can be used", len(set.keys))
	if len(set.keys) == 1 {
		text = "1 key can be used"
	}
	if set.ignored > 0 {
		text += fmt.Sprintf(", %d ignored", set.ignored)
	}
	return checkup.Ok(checkup.CheckKeys, text)
}

// ExamineTrustPool says how long the authorities of device certificates last.
func ExamineTrustPool(pool []*x509.Certificate, now time.Time) []checkup.Finding {
	var found []checkup.Finding
	for _, c := range pool {
		name := c.Subject.CommonName
		if name == "" {
			name = c.Subject.String()
		}
		if len(name) > maxAuthorityName {
			name = strings.ToValidUTF8(name[:maxAuthorityName], "")
		}
		if !c.IsCA {
			found = append(found, checkup.Warn(checkup.CheckTrustPool, fmt.Sprintf("certificate %q is no authority: no device certificate comes from it", name), "put the issuing authority into the file"))
			continue
		}
		found = append(found, checkup.Expiry(checkup.CheckTrustPool, fmt.Sprintf("device authority %q", name), c.NotBefore, c.NotAfter, now, checkup.NoticeAuthority,
			"add the authority that follows it to trust_pool, and renew the device certificates"))
	}
	if len(found) == 0 {
		found = append(found, checkup.Fail(checkup.CheckTrustPool, "the trust pool is empty", "name the issuing authority of the devices"))
	}
	return found
}

const maxAuthorityName = 80

// crlNotice is how long before its end a list that nobody renewed is spoken of, at
// most: authorities renew theirs a little before it ends.
const crlNotice = 12 * time.Hour

// crlNoticeShare is the part of a list's life after which it is spoken of.
const crlNoticeShare = 20

// ExamineCRL says whether a revocation list can be had, and until when it counts. Load
// and Save of the options are not used: what a gateway has in memory says nothing
// about what it will get next.
func ExamineCRL(ctx context.Context, o CRLOptions) checkup.Finding {
	o.Load, o.Save = nil, nil
	const (
		fix   = "look at the authority that publishes the list; certificates that it covers are refused (503) while it is out of date"
		reach = "check the address, and that the list is signed by an authority of trust_pool; without it certificates are refused (503) after a start"
	)
	c, err := NewCRL(o)
	if err != nil {
		return checkup.Fail(checkup.CheckCRL, err.Error(), reach)
	}
	defer c.Close()
	if o.URL != "" {
		err = c.refresh(ctx)
	}
	st := c.Status()
	if err != nil && !st.Loaded {
		if where, ok := errors.AsType[*url.Error](err); ok {
			err = where.Err // its text has the whole address
		}
		return judgeFetch(checkup.CheckCRL, fmt.Errorf("list %s: %w", st.Name, err), reach)
	}
	now := c.o.Now()
	notice := min(crlNotice, st.NextUpdate.Sub(st.ThisUpdate)/crlNoticeShare)
	f := checkup.Expiry(checkup.CheckCRL, "list "+st.Name, time.Time{}, st.NextUpdate, now, notice, fix)
	if f.State == checkup.OK {
		f.Text += fmt.Sprintf(", %d certificates are revoked", st.Entries)
	}
	return f
}
