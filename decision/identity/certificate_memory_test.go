package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"runtime"
	"testing"
	"weak"
)

// fromMessage is cert as crypto/tls has it: a part of the message that it came in.
func fromMessage(t *testing.T, cert *x509.Certificate) (leaf *x509.Certificate, message []byte) {
	t.Helper()
	message = make([]byte, 1<<18)
	n := copy(message, cert.Raw)
	leaf, err := x509.ParseCertificate(message[:n])
	if err != nil {
		t.Fatal(err)
	}
	return leaf, message
}

// A client's message is as large as it likes, so nothing that is kept may point into
// it.
func TestKeptCertificatesOwnTheirMemory(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	between := newCertCA(t, "Issuing CA", root)
	certs := newTestCertificates(t, certOptions(root))
	pins, err := NewPinnedCertificates(0)
	if err != nil {
		t.Fatal(err)
	}
	for name, identify := range map[string]func() (cert *Certificate, messages [][]byte, err error){
		"verified": func() (*Certificate, [][]byte, error) {
			leaf, first := fromMessage(t, between.issue(t))
			issuer, second := fromMessage(t, between.cert)
			cert, err := certs.FromTLS(certState(leaf, issuer), certT0)
			return cert, [][]byte{first, second}, err
		},
		"pinned": func() (*Certificate, [][]byte, error) {
			leaf, message := fromMessage(t, registration(t, nil))
			cert, err := pins.FromTLS(certState(leaf)).Matched(pinnedNoon)
			return cert, [][]byte{message}, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			cert, messages, err := identify()
			if err != nil {
				t.Fatal(err)
			}
			for _, message := range messages {
				clear(message)
			}
			kept := append([]*x509.Certificate{cert.Leaf}, cert.Chain...)
			if sha256.Sum256(cert.Leaf.Raw) != cert.Thumbprint {
				t.Error("the leaf that is kept is a part of the client's message")
			}
			for i, c := range kept {
				if c.Raw[0] == 0 {
					t.Errorf("certificate %d that is kept is a part of the client's message", i)
				}
			}
		})
	}
}

// collected reports whether only weak pointers to v were left.
func collected[T any](v weak.Pointer[T]) bool {
	for range 10 {
		runtime.GC()
		if v.Value() == nil {
			return true
		}
	}
	return false
}

func TestCachesDoNotKeepConnectionsCertificates(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	certs := newTestCertificates(t, certOptions(root))
	pins, err := NewPinnedCertificates(0)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(from *x509.Certificate, use func(*tls.ConnectionState)) weak.Pointer[x509.Certificate] {
		leaf, _ := fromMessage(t, from)
		use(certState(leaf))
		return weak.Make(leaf)
	}
	own := root.issue(t)
	for range 2 {
		if !collected(leaf(own, func(cs *tls.ConnectionState) {
			for range 2 {
				if _, err := certs.FromTLS(cs, certT0); err != nil {
					t.Fatal(err)
				}
			}
		})) {
			t.Error("the cache keeps a verified certificate of a connection that ended")
		}
	}
	for name, use := range map[string]func(*tls.ConnectionState){
		"refused": func(cs *tls.ConnectionState) { pins.FromTLS(cs) },
		"matched": func(cs *tls.ConnectionState) {
			if _, err := pins.FromTLS(cs).Matched(pinnedNoon); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if !collected(leaf(registration(t, nil), use)) {
			t.Errorf("the cache keeps a %s certificate of a connection that ended", name)
		}
	}
	runtime.KeepAlive(certs)
	runtime.KeepAlive(pins)
}
