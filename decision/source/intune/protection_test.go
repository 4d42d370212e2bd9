package intune

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// protected is the state of a computer whose antivirus works and finds nothing.
func protected(changes map[string]any) []byte {
	state := map[string]any{
		"id": ownID, "malwareProtectionEnabled": true, "realTimeProtectionEnabled": true, "signatureUpdateOverdue": false,
		"deviceState": "clean", "productStatus": "noStatus", "lastReportedDateTime": "2026-11-22T05:00:00Z",
	}
	maps.Copy(state, changes)
	b, _ := json.Marshal(state)
	return b
}

func TestParseProtection(t *testing.T) {
	const yes, no, unknown = decision.Yes, decision.No, decision.Unknown
	type m = map[string]any
	tests := []struct {
		name      string
		change    m
		found     []string // threatStates; nil: the list is not asked for
		antivirus decision.Tri
		malware   decision.Tri
		risk      decision.Level
	}{
		{"all well", nil, nil, yes, no, decision.LevelUnknown},
		{"real-time protection off", m{"realTimeProtectionEnabled": false}, nil, no, no, decision.LevelUnknown},
		{"protection off", m{"malwareProtectionEnabled": false}, nil, no, no, decision.LevelUnknown},
		{"signatures overdue", m{"signatureUpdateOverdue": true}, nil, no, no, decision.LevelUnknown},
		{"signatures out of date", m{"productStatus": "noQuickScanHappenedForSpecifiedPeriod,avSignaturesOutOfDate"}, nil, no, no, decision.LevelUnknown},
		{"service stopped", m{"productStatus": "serviceNotRunning"}, nil, no, no, decision.LevelUnknown},
		{"nothing said of real-time protection", m{"realTimeProtectionEnabled": nil}, nil, unknown, no, decision.LevelUnknown},
		{"nothing said of signatures", m{"signatureUpdateOverdue": "no"}, nil, unknown, no, decision.LevelUnknown},
		{"no state", m{"deviceState": nil}, nil, yes, unknown, decision.LevelUnknown},
		{"critical", m{"deviceState": "critical"}, nil, yes, yes, decision.LevelHigh},
		{"critical among others", m{"deviceState": "rebootPending, critical"}, nil, yes, yes, decision.LevelHigh},
		{"removal failed", m{"productStatus": "threatRemediationFailedCritically"}, nil, yes, yes, decision.LevelHigh},
		{"restart pending, nothing found", m{"deviceState": "rebootPending"}, []string{}, yes, no, decision.LevelUnknown},
		{"steps pending, nothing found", m{"deviceState": "manualStepsPending"}, []string{}, yes, unknown, decision.LevelUnknown},
		{"restart pending, removed", m{"deviceState": "rebootPending"}, []string{"removed", "quarantined"}, yes, no, decision.LevelUnknown},
		{"restart pending to remove", m{"deviceState": "rebootPending"}, []string{"cleaned", "rebootRequired"}, yes, yes, decision.LevelMedium},
		{"active", m{"deviceState": "fullScanPending"}, []string{"manualStepsRequired", "active"}, yes, yes, decision.LevelHigh},
		{"allowed by somebody", m{"deviceState": "fullScanPending"}, []string{"allowed"}, yes, yes, decision.LevelHigh},
		{"state of the future", m{"deviceState": "quarantinePending"}, []string{}, yes, unknown, decision.LevelUnknown},
		{"clean and more", m{"deviceState": "clean,quarantinePending"}, []string{}, yes, unknown, decision.LevelUnknown},
		{"threat state of the future", m{"deviceState": "rebootPending"}, []string{"cleaned", "frozen"}, yes, unknown, decision.LevelUnknown},
		{"threat state of the future, and one active", m{"deviceState": "rebootPending"}, []string{"frozen", "active"}, yes, yes, decision.LevelHigh},
	}
	for _, test := range tests {
		d := &decoder{now: now}
		p, err := parseProtection(d, protected(test.change))
		if err != nil || p.look != (test.found != nil) {
			t.Errorf("%s: look %v, %v", test.name, p.look, err)
			continue
		}
		if p.look {
			rows := []map[string]any{}
			for i, s := range test.found {
				rows = append(rows, map[string]any{"id": fmt.Sprint(i), "threatState": s})
			}
			b, _ := json.Marshal(map[string]any{"value": rows})
			if err := p.addMalware(d, b); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		if p.antivirus != test.antivirus || p.malware != test.malware || p.risk != test.risk {
			t.Errorf("%s: antivirus %s, malware %s, risk %s, want %s, %s, %s", test.name, p.antivirus, p.malware, p.risk, test.antivirus, test.malware, test.risk)
		}
	}
	p := protection{look: true}
	if err := p.addMalware(&decoder{now: now}, []byte(`{"value":[],"@odata.nextLink":"https://graph.microsoft.com/next"}`)); err != nil || p.malware != unknown {
		t.Errorf("a list that goes on: malware %s, %v", p.malware, err)
	}
	for _, body := range []string{``, `null`, `[]`, `"clean"`, `{`} {
		if _, err := parseProtection(&decoder{now: now}, []byte(body)); err == nil {
			t.Errorf("%q is a protection state", body)
		}
		if err := new(protection).addMalware(&decoder{now: now}, []byte(body)); err == nil {
			t.Errorf("%q is a list of malware", body)
		}
	}
}

func TestParseAttestation(t *testing.T) {
	const yes, no, unknown = decision.Yes, decision.No, decision.Unknown
	at := time.Date(2026, 11, 20, 19, 14, 2, 0, time.UTC)
	tests := []struct {
		name       string
		state      any
		secureBoot decision.Tri
		bitLocker  decision.Tri
		at         time.Time
	}{
		{"never attested", nil, unknown, unknown, time.Time{}},
		{"both on", map[string]any{"secureBoot": "Enabled", "bitLockerStatus": "Enabled", "lastUpdateDateTime": "11/20/2026 7:14:02 PM"}, yes, yes, at},
		{"both off", map[string]any{"secureBoot": "Disabled", "bitLockerStatus": "disabled", "lastUpdateDateTime": "2026-11-20T19:14:02Z"}, no, no, at},
		{"nothing said", map[string]any{"secureBoot": "", "bitLockerStatus": nil, "lastUpdateDateTime": ""}, unknown, unknown, time.Time{}},
		{"words of the future", map[string]any{"secureBoot": "Trusted", "bitLockerStatus": 7, "lastUpdateDateTime": "yesterday"}, unknown, unknown, time.Time{}},
		{"measured in the future", map[string]any{"secureBoot": "Enabled", "lastUpdateDateTime": "11/20/2036 7:14:02 PM"}, yes, unknown, time.Time{}},
	}
	for _, test := range tests {
		b, _ := json.Marshal(map[string]any{"id": ownID, "deviceHealthAttestationState": test.state})
		a, err := parseAttestation(&decoder{now: now}, ownID, b)
		if err != nil || a.secureBoot != test.secureBoot || a.bitLocker != test.bitLocker || !a.at.Equal(test.at) {
			t.Errorf("%s: %+v, %v", test.name, a, err)
		}
	}
	for _, body := range []string{``, `null`, `{"id":"` + entraID + `"}`, `{`} {
		if _, err := parseAttestation(&decoder{now: now}, ownID, []byte(body)); err == nil {
			t.Errorf("%q is an attestation of the device", body)
		}
	}
}

func TestPatchLevel(t *testing.T) {
	tests := []struct {
		within time.Duration
		os     string
		level  any
		want   decision.Tri
		odd    bool
	}{
		{90 * 24 * time.Hour, "Android", "2026-11-05", decision.Yes, false},
		{90 * 24 * time.Hour, "Android", "2026-08-25", decision.Yes, false},
		{90 * 24 * time.Hour, "Android", "2026-08-01", decision.No, false},
		{90 * 24 * time.Hour, "Android", "", decision.Unknown, false},
		{90 * 24 * time.Hour, "Android", nil, decision.Unknown, true},
		{90 * 24 * time.Hour, "Android", "November", decision.Unknown, true},
		{90 * 24 * time.Hour, "Android", "2036-11-05", decision.Unknown, true},
		{90 * 24 * time.Hour, "Windows", "2026-11-05", decision.Unknown, false},
		{0, "Android", "2026-11-05", decision.Unknown, false},
	}
	for _, test := range tests {
		d := decoder{now: now, patchWithin: test.within}
		level := test.level
		if level == nil {
			level = 5
		}
		v, err := d.decode(with(map[string]any{"operatingSystem": test.os, "osVersion": "14", "androidSecurityPatchLevel": level}))
		if err != nil || v.Updated != test.want || (len(d.fields) > 0) != test.odd {
			t.Errorf("%s, %v within %s: updated %s, odd %v, %v", test.os, level, test.within, v.Updated, d.fields, err)
		}
	}
}

// TestHealthAges: a good answer counts while question and report are young, a bad one
// until a newer answer, and of two that know the worse.
func TestHealthAges(t *testing.T) {
	const yes, no = decision.Yes, decision.No
	const day = 24 * time.Hour
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	fine := protection{antivirus: yes, malware: no, reported: ago(time.Hour)}
	ill := protection{antivirus: no, malware: yes, risk: decision.LevelHigh, reported: ago(time.Hour)}
	aged := func(p protection, by time.Duration) protection { p.reported = ago(by); return p }
	locked := attestation{secureBoot: yes, bitLocker: yes, at: ago(day)}
	open := attestation{secureBoot: no, bitLocker: no, at: ago(day)}
	tests := []struct {
		name string
		h    health
		want facets
	}{
		{"never asked", health{own: facets{encrypted: yes, risk: decision.LevelLow}}, facets{encrypted: yes, risk: decision.LevelLow}},
		{"good", health{asked: ago(time.Hour), protection: fine, attestation: locked}, facets{antivirus: yes, malware: no, secureBoot: yes, encrypted: yes}},
		{"good, asked yesterday", health{asked: ago(day), protection: fine, attestation: locked}, facets{}},
		{"good, reported last week", health{asked: ago(time.Hour), protection: aged(fine, 8*day)}, facets{}},
		{"good, nobody knows when", health{asked: ago(time.Hour), protection: protection{antivirus: yes, malware: no}, attestation: attestation{secureBoot: yes}}, facets{}},
		{"bad", health{asked: ago(time.Hour), protection: ill, attestation: open}, facets{antivirus: no, malware: yes, secureBoot: no, encrypted: no, risk: decision.LevelHigh, floor: true}},
		{"bad, long ago", health{asked: ago(3 * day), protection: aged(ill, 9*day)}, facets{antivirus: no, malware: yes, risk: decision.LevelHigh, floor: true}},
		{"no malware takes no risk away", health{asked: ago(time.Hour), protection: fine, own: facets{risk: decision.LevelMedium}}, facets{antivirus: yes, malware: no, risk: decision.LevelMedium}},
		{"malware beside a good level", health{asked: ago(time.Hour), protection: ill, own: facets{risk: decision.LevelNone}}, facets{antivirus: no, malware: yes, risk: decision.LevelHigh}},
		{"malware beside compromised", health{asked: ago(time.Hour), protection: ill, own: facets{risk: decision.LevelCompromised}}, facets{antivirus: no, malware: yes, risk: decision.LevelCompromised}},
		{"encrypted, but BitLocker was off at the start", health{asked: ago(time.Hour), attestation: open, own: facets{encrypted: yes}}, facets{secureBoot: no, encrypted: no}},
		{"the same, two months ago", health{asked: ago(time.Hour), attestation: attestation{bitLocker: no, at: ago(60 * day)}, own: facets{encrypted: yes}}, facets{encrypted: yes}},
		{"not encrypted, but BitLocker was on", health{asked: ago(time.Hour), attestation: locked, own: facets{encrypted: no}}, facets{secureBoot: yes, encrypted: no}},
		{"clock set back", health{asked: now.Add(day), protection: fine}, facets{antivirus: yes, malware: no}},
	}
	for _, test := range tests {
		if got := test.h.facets(now); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}
