package inventory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

const benchRows = 100_000

func benchmarkDecode(b *testing.B, content []byte, format string) {
	b.ReportAllocs()
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		n := 0
		in := &input{ctx: context.Background(), r: bytes.NewReader(content), size: int64(len(content)), sum: sha256.New()}
		_, err := decode(in, format, testNow, sink{
			device: func(decision.Verdict) { n++ },
			user:   func(decision.UserRecord) {},
			bad:    func(place string, err error) { b.Fatal(place, err) },
		})
		if err != nil || n != benchRows {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
}

// intuneRows repeats the export's first row with other ids, so that the width
// of a row is that of a real export.
func intuneRows(b *testing.B) []byte {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "intune_new.csv"))
	if err != nil {
		b.Fatal(err)
	}
	lines := strings.SplitAfterN(string(raw), "\n", 3)
	var out bytes.Buffer
	out.WriteString(lines[0])
	for i := range benchRows {
		out.WriteString(strings.ReplaceAll(lines[1], "000000000001", fmt.Sprintf("%012d", i)))
	}
	return out.Bytes()
}

// benchDevices know every fact.
func benchDevices(n int) []decision.Verdict {
	at := time.Date(2026, 11, 20, 21, 3, 10, 0, time.UTC)
	devices := make([]decision.Verdict, n)
	for i := range devices {
		devices[i] = decision.Verdict{Device: decision.Device{
			Keys: []decision.Key{
				{Kind: decision.KindEntra, Value: fmt.Sprintf("22222222-aaaa-4bbb-8ccc-%012d", i)},
				{Kind: decision.KindIntune, Value: fmt.Sprintf("11111111-aaaa-4bbb-8ccc-%012d", i)},
				{Kind: decision.KindSerial, Value: fmt.Sprintf("SN-%08d", i)},
			},
			Name: fmt.Sprintf("PC-%06d", i), Model: "Laptop 5", Platform: decision.Windows, OSVersion: decision.Version{10, 0, 22631, 4460},
			Compliance: decision.Compliant, GraceUntil: at, Managed: decision.Yes, Channel: decision.ChannelIntune,
			Lifecycle: decision.LifecycleActive, Enabled: decision.Yes, Trust: decision.TrustJoined, Ownership: decision.Corporate,
			OwnerID: fmt.Sprintf("33333333-aaaa-4bbb-8ccc-%012d", i), OwnerUPN: fmt.Sprintf("user%d@example.com", i),
			Encrypted: decision.Yes, Updated: decision.Yes, Jailbroken: decision.No, Apps: decision.Yes, Antivirus: decision.Yes,
			Firewall: decision.Yes, SecureBoot: decision.Yes, Supervised: decision.No,
			Risk: decision.LevelLow, Sensor: decision.SensorActive, Exposure: decision.LevelMedium, Malware: decision.No,
			LastCheckIn: at, EvaluatedAt: at,
		}}
	}
	return devices
}

func BenchmarkIntuneCSV(b *testing.B) { benchmarkDecode(b, intuneRows(b), FormatIntuneCSV) }

func BenchmarkCSV(b *testing.B) {
	var out bytes.Buffer
	out.WriteString("entra_id,intune_id,serial,name,platform,os_version,compliance,managed,encrypted,jailbroken,risk,ownership,owner_upn,last_check_in\n")
	for i := range benchRows {
		fmt.Fprintf(&out, "22222222-aaaa-4bbb-8ccc-%012d,11111111-aaaa-4bbb-8ccc-%012d,SN-%d,PC-%06d,windows,10.0.22631.4460,compliant,yes,yes,no,low,corporate,user%d@example.com,2026-11-20T21:03:10Z\n", i, i, i, i, i)
	}
	benchmarkDecode(b, out.Bytes(), FormatCSV)
}

func BenchmarkJSON(b *testing.B) {
	var out bytes.Buffer
	if err := WriteJSON(&out, benchDevices(benchRows), nil); err != nil {
		b.Fatal(err)
	}
	benchmarkDecode(b, out.Bytes(), FormatJSON)
}
