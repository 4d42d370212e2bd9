package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"
	"weak"

	lru "github.com/hashicorp/golang-lru/v2"
)

const certShards = 16

// certCache keeps verified and mapped certificates. It holds facts that only
// time and revocation change, and callers check those two on every use.
//
// The pointer of a leaf is its key on the hot path: all requests of one
// connection share it, and crypto/tls shares it between connections. The key is
// weak: a leaf of crypto/tls holds the whole message that it came in, so it must
// not outlive its connections. A weak pointer is never that of another certificate.
type certCache struct {
	pointers    [certShards]*lru.Cache[weak.Pointer[x509.Certificate], *Certificate]
	thumbprints [certShards]*lru.Cache[[sha256.Size]byte, *Certificate]
}

func newCertCache(entries int) (*certCache, error) {
	c := new(certCache)
	size := (entries + certShards - 1) / certShards
	for i := range certShards {
		pointers, err := lru.New[weak.Pointer[x509.Certificate], *Certificate](size)
		if err != nil {
			return nil, err
		}
		thumbprints, err := lru.New[[sha256.Size]byte, *Certificate](size)
		if err != nil {
			return nil, err
		}
		c.pointers[i], c.thumbprints[i] = pointers, thumbprints
	}
	return c, nil
}

// certShard spreads leaves by the last byte of their signature.
func certShard(leaf *x509.Certificate) int {
	if n := len(leaf.Raw); n > 0 {
		return int(leaf.Raw[n-1]) % certShards
	}
	return 0
}

func (c *certCache) byPointer(leaf *x509.Certificate) (*Certificate, bool) {
	if leaf == nil {
		return nil, false
	}
	return c.pointers[certShard(leaf)].Get(weak.Make(leaf))
}

func (c *certCache) addPointer(leaf *x509.Certificate, cert *Certificate) {
	c.pointers[certShard(leaf)].Add(weak.Make(leaf), cert)
}

func (c *certCache) byThumbprint(thumbprint [sha256.Size]byte) (*Certificate, bool) {
	return c.thumbprints[thumbprint[0]%certShards].Get(thumbprint)
}

// add stores cert and returns the one to use: requests that verified the same
// leaf at the same time all get the first.
func (c *certCache) add(cert *Certificate, now time.Time) *Certificate {
	shard := c.thumbprints[cert.Thumbprint[0]%certShards]
	if first, ok, _ := shard.PeekOrAdd(cert.Thumbprint, cert); ok {
		if first.validAt(now) {
			return first
		}
		shard.Add(cert.Thumbprint, cert)
	}
	return cert
}

// ownCertificate is cert in memory of its own. A certificate of crypto/tls points
// into the client's whole message, with whatever else it had room for.
func ownCertificate(cert *x509.Certificate) (*x509.Certificate, error) {
	return x509.ParseCertificate(bytes.Clone(cert.Raw))
}

// ownChain is a chain that may be kept: without the memory of what was presented.
func ownChain(chain, presented []*x509.Certificate) ([]*x509.Certificate, error) {
	own := slices.Clone(chain)
	for i, cert := range own {
		if !slices.Contains(presented, cert) {
			continue // from our pools
		}
		var err error
		own[i], err = ownCertificate(cert)
		if err != nil {
			return nil, err
		}
	}
	return own, nil
}
