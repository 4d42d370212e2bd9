package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/dunglas/httpsfv"
)

// parseRFC9440 reads a Byte Sequence item and a list of them (RFC 9440, 2).
func (d Dialect) parseRFC9440(h http.Header) ([]*x509.Certificate, error) {
	text, present, err := fwdSingle(h, d.cert)
	if err != nil {
		return nil, err
	}
	if !present {
		if len(h[d.chain]) > 0 {
			return nil, fwdMalformed("a chain without a certificate")
		}
		return nil, nil
	}
	item, err := httpsfv.UnmarshalItem([]string{text})
	if err != nil {
		return nil, fwdMalformed("not a structured field item")
	}
	leaf, ok := item.Value.([]byte)
	if !ok {
		return nil, fwdMalformed("not a byte sequence")
	}
	ders := [][]byte{leaf}
	if values := h[d.chain]; len(values) > 0 {
		list, err := httpsfv.UnmarshalList(values)
		if err != nil {
			return nil, fwdMalformed("chain is not a structured field list")
		}
		for _, member := range list {
			item, ok := member.(httpsfv.Item)
			if !ok {
				return nil, fwdMalformed("chain has an inner list")
			}
			der, ok := item.Value.([]byte)
			if !ok {
				return nil, fwdMalformed("chain has a member that is not a byte sequence")
			}
			ders = append(ders, der)
		}
	}
	return fwdCertificates(ders)
}

// parseNginx reads a URL-encoded PEM certificate and the proxy's own result.
func (d Dialect) parseNginx(h http.Header) ([]*x509.Certificate, error) {
	text, _, err := fwdSingle(h, d.cert)
	if err != nil {
		return nil, err
	}
	verify, _, err := fwdSingle(h, d.verify)
	if err != nil {
		return nil, err
	}
	if text == "" { // nginx leaves a header out if its value is empty, other proxies send it
		if verify == "SUCCESS" {
			return nil, fwdMalformed("verified, but without a certificate")
		}
		return nil, nil
	}
	if verify != "SUCCESS" { // FAILED:reason, NONE, or a proxy that does not say
		return nil, ErrForwardedUnverified
	}
	return fwdEscapedPEM(text)
}

// parseALB reads the header of either mode. Neither is taken as verified.
func (d Dialect) parseALB(h http.Header) ([]*x509.Certificate, error) {
	leaf, verifies, err := fwdSingle(h, d.cert)
	if err != nil {
		return nil, err
	}
	chain, passes, err := fwdSingle(h, d.chain)
	switch {
	case err != nil:
		return nil, err
	case verifies && passes: // a listener has one mode
		return nil, fmt.Errorf("%w: %s and %s", ErrForwardedDuplicate, d.cert, d.chain)
	case verifies:
		return fwdEscapedPEM(leaf)
	case passes:
		return fwdEscapedPEM(chain)
	}
	return nil, nil
}

// parseXFCC reads the last element: proxies append, so that is the one of the
// hop that we trust, and what stands before it is hearsay.
func (d Dialect) parseXFCC(h http.Header) ([]*x509.Certificate, error) {
	values := h[d.cert]
	if len(values) == 0 {
		return nil, nil
	}
	elements, ok := fwdSplit(strings.Join(values, ","), ',')
	if !ok {
		return nil, fwdMalformed("a quote is not closed")
	}
	pairs, ok := fwdSplit(elements[len(elements)-1], ';')
	if !ok {
		return nil, fwdMalformed("a quote is not closed")
	}
	found := make(map[string]string, 3) // of the keys that we use
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fwdMalformed("a pair has no value")
		}
		key = strings.ToLower(strings.TrimSpace(key))
		if key != "cert" && key != "chain" && key != "hash" {
			continue
		}
		if _, twice := found[key]; twice {
			return nil, fmt.Errorf("%w: %s", ErrForwardedDuplicate, key)
		}
		if found[key], ok = fwdUnquote(value); !ok {
			return nil, fwdMalformed("a value is badly quoted")
		}
	}
	return xfccCertificates(found)
}

func xfccCertificates(found map[string]string) ([]*x509.Certificate, error) {
	var leaf, chain []*x509.Certificate
	var err error
	if text, ok := found["cert"]; ok {
		if leaf, err = fwdEscapedPEM(text); err != nil {
			return nil, err
		}
		if len(leaf) != 1 {
			return nil, fwdMalformed("Cert holds more than one certificate")
		}
	}
	if text, ok := found["chain"]; ok {
		if chain, err = fwdEscapedPEM(text); err != nil {
			return nil, err
		}
	}
	switch {
	case leaf == nil && chain == nil: // a hash alone cannot be checked against our roots
		return nil, fwdMalformed("neither Cert nor Chain; configure the proxy to send one")
	case chain == nil:
		chain = leaf
	case leaf != nil && !leaf[0].Equal(chain[0]):
		return nil, fwdMalformed("Cert is not the first of Chain")
	}
	if hash, ok := found["hash"]; ok {
		want, err := hex.DecodeString(hash)
		sum := sha256.Sum256(chain[0].Raw)
		if err != nil || !bytes.Equal(want, sum[:]) {
			return nil, fwdMalformed("Hash is not that of the certificate")
		}
	}
	return chain, nil
}

// fwdSplit splits at sep outside double quotes, in which a backslash
// escapes; false if a quote is left open. Splitting first would let a subject
// with a comma in it make elements of its own.
func fwdSplit(s string, sep byte) ([]string, bool) {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:]), !quoted
}

// fwdUnquote takes the quotes off a value. A quote elsewhere than at both ends is
// refused, except escaped within them.
func fwdUnquote(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, `"`) {
		return s, true
	}
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			return "", false
		}
		if s[i] == '\\' {
			if i++; i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}

const (
	fwdPEMBegin = "-----BEGIN CERTIFICATE-----"
	fwdPEMType  = "CERTIFICATE"
)

// fwdEscapedPEM reads percent-encoded PEM certificates and nothing else around
// them. The encoding is that of a URL path: AWS leaves the + of base64 as it
// is, and a query decoder would turn it into a space.
func fwdEscapedPEM(text string) ([]*x509.Certificate, error) {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return nil, fwdMalformed("percent encoding is broken")
	}
	var ders [][]byte
	rest := bytes.TrimSpace([]byte(plain))
	for len(rest) > 0 {
		if len(ders) == maxCertChain {
			return nil, fwdMalformed("too many certificates")
		}
		if !bytes.HasPrefix(rest, []byte(fwdPEMBegin)) { // pem.Decode would skip what it does not know
			return nil, fwdMalformed("not a PEM certificate")
		}
		block, after := pem.Decode(rest)
		// Without this comparison a broken block would be passed over in
		// favour of a later one.
		if block == nil || block.Type != fwdPEMType || len(block.Headers) > 0 ||
			bytes.Count(rest[:len(rest)-len(after)], []byte("-----BEGIN ")) != 1 {
			return nil, fwdMalformed("PEM is broken")
		}
		ders = append(ders, block.Bytes)
		rest = bytes.TrimSpace(after)
	}
	return fwdCertificates(ders)
}
