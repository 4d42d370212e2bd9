package source

import (
	"runtime"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

const million = 1_000_000

func load(b testing.TB, n int) *Table {
	s := NewSweep(n)
	for i := range n {
		s.Device(healthy(i))
	}
	t, err := s.Table()
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkTableMillion reports what a million devices cost: bytes per device,
// the time of a full collection, and of making and reading the table.
func BenchmarkTableMillion(b *testing.B) {
	b.ReportAllocs()
	before := heap()
	var t *Table
	for b.Loop() {
		t = nil
		t = load(b, million)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "load-s")
	b.ReportMetric(float64(heap()-before)/million, "B/device")
	b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
	start := time.Now()
	runtime.GC()
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "gc-ms")
	start = time.Now()
	body := encodeSnapshot(savedTable{table: t, confirmed: time.Now()}, time.Now())
	b.ReportMetric(time.Since(start).Seconds(), "encode-s")
	start = time.Now()
	if _, err := decodeSnapshot(body, million); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(start).Seconds(), "decode-s")
	start = time.Now()
	survey(t, t, t.facts, keepAll)
	b.ReportMetric(time.Since(start).Seconds(), "survey-s")
	runtime.KeepAlive(t)
}

func BenchmarkTableFind(b *testing.B) {
	t := load(b, million)
	keys := make([]decision.Key, 1<<16)
	for i := range keys {
		n := i * 7919 % million
		keys[i] = [...]decision.Key{entra(n), intune(n), serial(n)}[i%3]
	}
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, ok := t.Find(keys[i&(len(keys)-1)]); !ok {
				b.Fatal("not found")
			}
			i++
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		stranger := entra(1 << 40)
		for b.Loop() {
			if _, ok := t.Find(stranger); ok {
				b.Fatal("found")
			}
		}
	})
	b.Run("verdict", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			_ = t.Verdict(i % million)
		}
	})
}

func BenchmarkPosture(b *testing.B) {
	runners := make([]*Runner, 3)
	for i := range runners {
		runners[i] = loaded(b, fleet(1000, nil)...)
	}
	d := NewDirectory(runners, DirectoryOptions{})
	id := identity(entra(7))
	id.User = decision.User{ID: "u", Name: "user000007@corp.example"}
	b.Run("memo", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.Posture(id)
		}
	})
	b.Run("memo parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = d.Posture(id)
			}
		})
	})
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = d.build(id, nil)
		}
	})
}
