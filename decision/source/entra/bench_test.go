package entra

import (
	"fmt"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

func benchRow(n int) []byte {
	return fmt.Appendf(nil, `{"id":%q,"deviceId":%q,"displayName":"LT-%05d","accountEnabled":true,"isCompliant":true,"isManaged":true,`+
		`"isRooted":null,"trustType":"ServerAd","deviceOwnership":"Company","operatingSystem":"Windows","operatingSystemVersion":"10.0.22631.4460",`+
		`"registrationDateTime":"2025-03-02T08:11:45Z","complianceExpirationDateTime":null,"onPremisesSecurityIdentifier":"S-1-5-21-1-2-3-%d"}`,
		objectID(n), deviceID(n), n, n)
}

// BenchmarkListing applies the rows of a complete listing of 100,000 devices.
func BenchmarkListing(b *testing.B) {
	const devices = 100_000
	rows := make([][]byte, devices)
	for n := range rows {
		rows[n] = benchRow(n)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := newRegistry(false)
		for _, row := range rows {
			if _, err := r.apply(row, noon, &tally{}); err != nil {
				b.Fatal(err)
			}
		}
		if err := r.listing.Emit(source.NewSweep(devices)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/devices, "ns/device")
}

// BenchmarkChange applies one row that a delta query reports.
func BenchmarkChange(b *testing.B) {
	r := newRegistry(false)
	for n := range 10_000 {
		if _, err := r.apply(benchRow(n), noon, &tally{}); err != nil {
			b.Fatal(err)
		}
	}
	if err := r.listing.Emit(source.NewSweep(0)); err != nil {
		b.Fatal(err)
	}
	row := []byte(`{"id":"` + objectID(77) + `","isCompliant":false}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.apply(row, noon, &tally{}); err != nil {
			b.Fatal(err)
		}
	}
}
