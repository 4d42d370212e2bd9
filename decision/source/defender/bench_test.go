package defender

import (
	"fmt"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

func benchRow(n int) []byte {
	return fmt.Appendf(nil, `{"id":%q,"computerDnsName":"lt-%05d.corp.example.com","firstSeen":"2026-03-02T08:11:45.1234567Z",`+
		`"lastSeen":"2026-11-20T21:03:10.552Z","osPlatform":"Windows11","osVersion":null,"osProcessor":"x64","version":"25H2",`+
		`"lastIpAddress":"10.20.30.40","lastExternalIpAddress":"192.0.2.40","agentVersion":"10.8800.26100.1","osBuild":26200,`+
		`"healthStatus":"Active","deviceValue":"Normal","rbacGroupId":12,"rbacGroupName":"laptops","riskScore":"None","exposureLevel":"Low",`+
		`"isAadJoined":true,"aadDeviceId":%q,"machineTags":["vip"],"defenderAvStatus":"Updated","onboardingStatus":"onboarded",`+
		`"osArchitecture":"64-bit","managedBy":"Intune","ipAddresses":[{"ipAddress":"10.20.30.40","macAddress":"001122334455",`+
		`"type":"Ethernet","operationalStatus":"Up"},{"ipAddress":"fe80::1","macAddress":"001122334455","type":"Ethernet","operationalStatus":"Up"}]}`,
		machineID(n), n, deviceID(n))
}

// BenchmarkListing decodes, remembers and emits a fleet of 100,000 machines.
func BenchmarkListing(b *testing.B) {
	const machines = 100_000
	rows := make([][]byte, machines)
	for n := range rows {
		rows[n] = benchRow(n)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := &Source{o: Options{}}
		t := tally{}
		for _, row := range rows {
			v, err := decodeMachine(row, noon, t)
			if err == nil {
				_, err = s.fleet.put(v, noon)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := s.emit(b.Context(), source.NewSweep(machines)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/machines, "ns/machine")
}

// BenchmarkEmit emits a remembered fleet again after one machine changed.
func BenchmarkEmit(b *testing.B) {
	const machines = 100_000
	s := &Source{o: Options{}}
	for n := range machines {
		v, err := decodeMachine(benchRow(n), noon, tally{})
		if err == nil {
			_, err = s.fleet.put(v, noon)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.dirty = true
		if err := s.emit(b.Context(), source.NewSweep(machines)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/machines, "ns/machine")
}
