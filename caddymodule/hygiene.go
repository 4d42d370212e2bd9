package caddymodule

import (
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision/identity"
)

// The headers that this module sets for the app. A client's copies are removed
// from every request, in every spelling that some backend folds into the same
// name.
const (
	headerUser       = "Remote-User"
	headerUserID     = "Remote-User-Id"
	headerEmail      = "Remote-Email"
	headerGroups     = "Remote-Groups"
	headerDevice     = "X-Device-Id"
	headerCompliance = "X-Device-Compliance"
	headerDecision   = "X-Decision-Id"
	headerAssertion  = "X-Gatehouse-Assertion"
)

// spoofKind is a label of gatehouse_spoof_attempts_total.
type spoofKind uint8

const (
	notOurs spoofKind = iota
	spoofIdentity
	spoofCertificate
	spoofURI
	spoofHop
	spoofTrailer
	spoofUpgrade
	numSpoofKinds
)

var spoofKindNames = [numSpoofKinds]string{"", "identity_header", "certificate_header", "uri_header", "hop_by_hop", "trailer", "upgrade"}

// ownNames maps folded names (lower case, '-' for anything but letters and
// digits) to what they are.
var ownNames = map[string]spoofKind{
	"remote-user": spoofIdentity, "remote-user-id": spoofIdentity, "remote-email": spoofIdentity,
	"remote-groups": spoofIdentity, "x-device-id": spoofIdentity, "x-device-compliance": spoofIdentity,
	"x-decision-id": spoofIdentity, "x-gatehouse-assertion": spoofIdentity,
	"x-forwarded-uri": spoofURI, "x-rewrite-url": spoofURI, "x-envoy-original-path": spoofURI,
}

// classify says what a header name folds to. It does not allocate for names
// that cannot be ours, which is nearly all of them.
func classify(name string) spoofKind {
	if len(name) < 9 {
		return notOurs // "Ssl-Cert" style names all have nine bytes or more
	}
	switch name[0] | 0x20 {
	case 'r', 'x', 'c', 's':
	default:
		return notOurs
	}
	var buf [64]byte
	folded := buf[:min(len(name), len(buf))] // no name of ours is longer, but X-Original- begins many
	for i := range folded {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case c < '0' || c > '9' && c < 'a' || c > 'z':
			c = '-' // '_' and '.' above all; some servers fold any punctuation
		}
		folded[i] = c
	}
	if k := ownNames[string(folded)]; k != notOurs {
		return k
	}
	if strings.HasPrefix(string(folded), "x-original-") {
		return spoofURI
	}
	if identity.IsForwardedCertificateHeader(string(folded)) {
		return spoofCertificate
	}
	return notOurs
}

// strip removes every header, Connection token and trailer that could be taken
// for ours or for a proxy's word about a certificate. It runs on every request,
// also on exempt and report-only ones, before anything is decided. count is
// called once per removed name.
func strip(r *http.Request, count func(spoofKind)) {
	for name := range r.Header {
		if k := classify(name); k != notOurs {
			delete(r.Header, name)
			count(k)
		}
	}
	if hops := r.Header["Connection"]; len(hops) > 0 {
		stripHops(r, hops, count)
	}
	if offers := r.Header["Upgrade"]; len(offers) > 0 && offersHTTP(offers) {
		delete(r.Header, "Upgrade")
		delete(r.Header, "Http2-Settings")
		count(spoofUpgrade)
	}
	if len(r.Trailer) > 0 {
		stripTrailer(r.Trailer, count)
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &trailerFilter{ReadCloser: r.Body, trailer: r.Trailer, count: count}
		}
	}
}

// offersHTTP reports whether an Upgrade header offers a protocol that carries
// further HTTP requests: h2c, h2, HTTP/2.0 or TLS. A connection that the app
// switched to one of them would carry requests that nobody decided about, with
// identity headers of the client's own. A server may ignore an offer (RFC 9110,
// section 7.8), so the request goes on without it.
func offersHTTP(offers []string) bool {
	for _, line := range offers {
		for token := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(token), "/")
			switch strings.ToLower(name) {
			case "h2c", "h2", "http", "tls":
				return true
			}
		}
	}
	return false
}

// stripHops removes our names from Connection: a client could otherwise make the
// proxy drop the headers that we set after this.
func stripHops(r *http.Request, hops []string, count func(spoofKind)) {
	dirty := false
	for _, line := range hops {
		for token := range strings.SplitSeq(line, ",") {
			if classify(strings.TrimSpace(token)) != notOurs {
				dirty = true
			}
		}
	}
	if !dirty {
		return
	}
	kept := make([]string, 0, len(hops))
	for _, line := range hops {
		var tokens []string
		for token := range strings.SplitSeq(line, ",") {
			token = strings.TrimSpace(token)
			if classify(token) != notOurs {
				count(spoofHop)
				continue
			}
			tokens = append(tokens, token)
		}
		if len(tokens) > 0 {
			kept = append(kept, strings.Join(tokens, ", "))
		}
	}
	if len(kept) == 0 {
		delete(r.Header, "Connection")
		return
	}
	r.Header["Connection"] = kept
}

func stripTrailer(t http.Header, count func(spoofKind)) {
	for name := range t {
		if classify(name) != notOurs {
			delete(t, name)
			count(spoofTrailer)
		}
	}
}

// trailerFilter cleans the trailers once they have arrived: a client may send
// names at the end that it did not announce.
type trailerFilter struct {
	io.ReadCloser
	trailer http.Header
	count   func(spoofKind)
}

func (t *trailerFilter) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		stripTrailer(t.trailer, t.count)
	}
	return n, err
}
