package httpjson

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

func fixedNow() time.Time { return noon }

// BenchmarkLookup is one look-up without the network: request, decoder, map.
func BenchmarkLookup(b *testing.B) {
	body, err := os.ReadFile("testdata/device.json")
	if err != nil {
		b.Fatal(err)
	}
	text := string(body)
	s, err := New(Options{
		URL: "https://mdm.corp.example/{id}", Item: "/device", Kinds: []string{"serial"}, Map: fuzzMap, Now: fixedNow,
		Transport: exchange(func(*http.Request) (*http.Response, error) { return response(200, text), nil }),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.(source.Looker).Lookup(context.Background(), sn1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSync is one page of a thousand devices; ns/device is what counts.
func BenchmarkSync(b *testing.B) {
	body, err := os.ReadFile("testdata/device.json")
	if err != nil {
		b.Fatal(err)
	}
	var doc strings.Builder
	one := string(body[strings.IndexByte(string(body), ':')+1 : strings.LastIndexByte(string(body), '}')])
	doc.WriteString(`{"devices": [` + one)
	const n = 1000
	for range n - 1 {
		doc.WriteString("," + one)
	}
	doc.WriteString("]}")
	s, err := New(Options{
		ListURL: "https://mdm.corp.example/", Items: "/devices", Map: fuzzMap, Now: fixedNow,
		Transport: exchange(func(*http.Request) (*http.Response, error) { return response(200, doc.String()), nil }),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(doc.Len()))
	b.ReportAllocs()
	for b.Loop() {
		sweep := source.NewSweep(n)
		if err := s.(source.Syncer).Sync(context.Background(), sweep); err != nil || sweep.Devices() != n {
			b.Fatal(sweep.Devices(), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/device")
}
