package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"time"

	"github.com/gatehouse-project/gatehouse/examples/authority"
)

// certificates writes an authority for the server, one for devices, and a
// certificate for each device; also as a header of RFC 9440, as a proxy writes it.
func certificates(f folder, now time.Time) error {
	server, err := authority.New(f.write, "server-ca", now)
	if err != nil {
		return err
	}
	err = server.Issue(f.write, "server", authority.Localhost(), now)
	if err != nil {
		return err
	}
	devices, err := authority.New(f.write, "device-ca", now)
	if err != nil {
		return err
	}
	for name, id := range map[string]string{"good": goodID, "bad": badID, "grace": graceID} {
		err := devices.Issue(f.write, name, &x509.Certificate{
			Subject: pkix.Name{CommonName: id}, EmailAddresses: []string{"alice@corp.example"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, now)
		if err != nil {
			return err
		}
	}
	return nil
}
