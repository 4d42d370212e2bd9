package entra

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// pinSelect is the property with the certificates of a device. Microsoft marks it as
// for internal use; whether devices/delta tells of changes of it is not documented.
const pinSelect = ",alternativeSecurityIds"

const (
	pinType   = 2 // an X.509 certificate
	pinPrefix = "X509:<SHA1-TP-PUBKEY>"
	maxPins   = 4 // certificates of one device
)

// pins is the member alternativeSecurityIds of a row.
type pins struct {
	seen, wrong bool
	value       []json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails.
func (p *pins) UnmarshalJSON(b []byte) error {
	*p = pins{seen: true}
	p.wrong = json.Unmarshal(b, &p.value) != nil
	return nil
}

// keys returns the ids by certificate. What cannot be read is left out: a device is
// then not proven by that certificate.
func (p *pins) keys(t *tally) []decision.Key {
	if p.wrong {
		t.problem("alternativeSecurityIds", wrongType)
	}
	var out []decision.Key
	for _, raw := range p.value {
		var entry struct {
			Type *int `json:"type"`
			Key  text `json:"key"`
		}
		if json.Unmarshal(raw, &entry) != nil || entry.Type == nil {
			t.problem("alternativeSecurityIds", wrongType)
			continue
		}
		if *entry.Type != pinType {
			continue
		}
		k, ok := parsePin(entry.Key.value)
		switch {
		case !ok:
			t.problem("alternativeSecurityIds", badText)
		case len(out) == maxPins:
			t.problem("alternativeSecurityIds", "too many")
		default:
			out = append(out, k)
		}
	}
	return out
}

// parsePin reads the key of one entry: base64 of UTF-16 (little-endian) text, which
// is the prefix, 40 hexadecimal digits (SHA-1 of the certificate) and base64 of the
// SHA-256 of the public key ([MS-DVRE] 2.3.3, which has a + between the two; the
// service writes none).
func parsePin(key string) (decision.Key, bool) {
	wide, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(wide)%2 != 0 || len(wide) > 1024 {
		return decision.Key{}, false
	}
	narrow := make([]byte, 0, len(wide)/2)
	for i := 0; i < len(wide); i += 2 {
		if wide[i+1] != 0 || wide[i] >= 0x7f {
			return decision.Key{}, false
		}
		narrow = append(narrow, wide[i])
	}
	rest, ok := strings.CutPrefix(string(narrow), pinPrefix)
	if !ok || len(rest) < 2*20 {
		return decision.Key{}, false
	}
	var certificate [20]byte
	var publicKey [32]byte
	if _, err := hex.Decode(certificate[:], []byte(rest[:40])); err != nil {
		return decision.Key{}, false
	}
	rest = rest[40:]
	if len(rest) == base64.StdEncoding.EncodedLen(len(publicKey))+1 {
		rest = strings.TrimPrefix(rest, "+")
	}
	hash, err := base64.StdEncoding.DecodeString(rest)
	if err != nil || len(hash) != len(publicKey) {
		return decision.Key{}, false
	}
	copy(publicKey[:], hash)
	return decision.PinnedCertificate(certificate, publicKey), true
}

// setPins replaces the ids by certificate.
func (d *device) setPins(p *pins, t *tally) {
	if !p.seen {
		return
	}
	keys := make([]decision.Key, 0, len(d.Keys)+1) // a new slice: the old one may be shared
	for _, k := range d.Keys {
		if k.Kind != decision.KindPinnedCertificate {
			keys = append(keys, k)
		}
	}
	d.Keys = append(keys, p.keys(t)...)
}

// PinsCertificates implements [source.CertificatePinner].
func (s *Source) PinsCertificates() bool { return s.o.PinnedCertificates }

// deviceFields are the properties that this source reads.
func (s *Source) deviceFields() string {
	if s.o.PinnedCertificates {
		return deviceSelect + pinSelect
	}
	return deviceSelect
}
