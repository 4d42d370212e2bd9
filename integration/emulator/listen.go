package emulator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// authority is the server's own certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// The certificates hold at any time that a test's clock may show.
var (
	validFrom = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	validTo   = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
)

// newAuthority makes a new authority; nothing else trusts it.
func newAuthority() *authority {
	a := &authority{key: newKey()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Emulator CA"}, NotBefore: validFrom, NotAfter: validTo,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := a.create(template, template, &a.key.PublicKey)
	a.cert, _ = x509.ParseCertificate(der)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key
}

func (a *authority) create(template, parent *x509.Certificate, pub any) []byte {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, a.key)
	if err != nil {
		panic(err) // templates of this package are right
	}
	return der
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// serverCertificate is for the loopback names.
func (a *authority) serverCertificate() tls.Certificate {
	key := newKey()
	der := a.create(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: validFrom, NotAfter: validTo,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Start serves on a free loopback port with TLS. base is the URL without a slash at
// its end, roots trusts the certificate. stop ends the server and every call in it.
func (s *Server) Start() (base string, roots *x509.CertPool, stop func()) {
	base, stop, err := s.Listen("127.0.0.1:0")
	if err != nil {
		panic(err) // there is always a free loopback port
	}
	return base, s.Roots(), stop
}

// Listen is [Server.Start] on a loopback address of the caller's choice.
func (s *Server) Listen(addr string) (base string, stop func(), err error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, fmt.Errorf("address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", nil, fmt.Errorf("address %q: only loopback is served", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{s.ca.serverCertificate()}, MinVersion: tls.VersionTLS12},
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.ServeTLS(l, "", "") // ends when stop closes it
	}()
	return "https://" + l.Addr().String(), func() {
		cancel()
		_ = srv.Close()
		<-done
	}, nil
}

// Transport answers calls in this process, without a network. It suits tests in a
// testing/synctest bubble: nothing in it waits on what the bubble does not know. Make
// the server inside the bubble too when its clock shall be that of the bubble. Calls go
// to any https host; links then name that host.
func (s *Server) Transport() http.RoundTripper { return inProcess{s} }

type inProcess struct{ s *Server }

// pipedAnswer is the response side of a call in this process.
type pipedAnswer struct {
	header http.Header
	w      *io.PipeWriter
	begun  chan *http.Response
	answer *http.Response
}

func (p *pipedAnswer) Header() http.Header { return p.header }

// WriteHeader lets RoundTrip go on; later calls do nothing, as in net/http.
func (p *pipedAnswer) WriteHeader(status int) {
	if p.begun == nil {
		return
	}
	p.answer.StatusCode, p.answer.Status = status, fmt.Sprintf("%d %s", status, http.StatusText(status))
	p.answer.Header = p.header.Clone()
	p.begun <- p.answer
	p.begun = nil
}

func (p *pipedAnswer) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.w.Write(b)
}

// RoundTrip implements [http.RoundTripper].
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	read, write := io.Pipe()
	begun := make(chan *http.Response, 1)
	inner := r.Clone(r.Context())
	inner.Host, inner.RemoteAddr = r.URL.Host, "127.0.0.1:1"
	p := &pipedAnswer{header: http.Header{}, w: write, begun: begun, answer: &http.Response{
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Body: read, ContentLength: -1,
	}}
	failed := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil { // a fault that breaks the connection
				_ = write.CloseWithError(io.ErrUnexpectedEOF)
				failed <- fmt.Errorf("connection reset: %w", io.ErrUnexpectedEOF)
				if v != http.ErrAbortHandler {
					panic(v)
				}
			}
		}()
		t.s.ServeHTTP(p, inner)
		p.WriteHeader(http.StatusOK)
		_ = write.Close()
	}()
	select {
	case a := <-begun:
		return a, nil
	case err := <-failed:
		if r.Context().Err() != nil {
			err = errors.Join(r.Context().Err(), err)
		}
		select {
		case a := <-begun: // the answer broke after its header
			return a, nil
		default:
			return nil, err
		}
	case <-r.Context().Done():
		_ = read.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
}
