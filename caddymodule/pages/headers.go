package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// varyOn are the request headers that an answer depends on: which form it has,
// in which language, and who asked.
var varyOn = []string{"Accept", "Accept-Language", "Authorization", "Cookie", "Sec-Fetch-Dest", "Sec-Fetch-Mode"}

// Headers sets everything that protects a page: it may not be stored, framed,
// sniffed or extended. Values of Vary that are already there stay. It does not
// set the status or Retry-After; [Pages.Write] does.
func (p *Pages) Headers(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Robots-Tag", "noindex")
	have := strings.Join(h.Values("Vary"), ",")
	add := make([]string, 0, len(varyOn))
	for _, name := range varyOn {
		if !listed(have, name) {
			add = append(add, name)
		}
	}
	if len(add) > 0 {
		h.Add("Vary", strings.Join(add, ", "))
	}
}

// listed reports whether a comma-separated list holds a name or "*".
func listed(list, name string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "*" || strings.EqualFold(item, name) {
			return true
		}
	}
	return false
}

// contentSecurityPolicy forbids everything but the styles with these hashes.
func contentSecurityPolicy(hashes []string) string {
	var b strings.Builder
	b.WriteString("default-src 'none'; style-src")
	if len(hashes) == 0 {
		b.WriteString(" 'none'")
	}
	for _, h := range hashes {
		b.WriteString(" '" + h + "'")
	}
	b.WriteString("; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	return b.String()
}

// maxStyles bounds the styles of one page, and with it the header's length.
const maxStyles = 8

// styleHashes returns the CSP source of every style element of a page, as the
// browser computes it (CSP Level 3, section 6.7.3.3). It reads the rendered
// page, so that it also holds for a layout that writes its own style element.
func styleHashes(page []byte) ([]string, error) {
	var hashes []string
	lower := bytes.ToLower(page)
	for at := 0; ; {
		i := bytes.Index(lower[at:], []byte("<style"))
		if i < 0 {
			return hashes, nil
		}
		start := at + i
		open := bytes.IndexByte(lower[start:], '>')
		if open < 0 {
			return nil, errors.New("style element is not closed")
		}
		start += open + 1
		end := bytes.Index(lower[start:], []byte("</style"))
		if end < 0 {
			return nil, errors.New("style element is not closed")
		}
		if len(hashes) == maxStyles {
			return nil, errors.New("more than 8 style elements")
		}
		sum := sha256.Sum256(page[start : start+end])
		hashes = append(hashes, "sha256-"+base64.StdEncoding.EncodeToString(sum[:]))
		at = start + end
	}
}
