package nac

import "testing"

// BenchmarkDecode reads the answer about one device.
func BenchmarkDecode(b *testing.B) {
	body := []byte(answerFile(b, "v3-compliant"))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if rows, err := decode(body); err != nil || len(rows) != 1 {
			b.Fatal(rows, err)
		}
	}
}
