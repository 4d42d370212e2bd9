package msgraph

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// examplePage is a page of managed devices as Intune sends it.
func examplePage(rows int) []byte {
	var b strings.Builder
	b.WriteString(`{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#deviceManagement/managedDevices","value":[`)
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"b7c9e0f2-1111-4222-8333-%012d","azureADDeviceId":"5d0c1b7e-2f64-4a1b-9d0e-%012d","deviceName":"LT-%06d","userPrincipalName":"ann.%d@corp.example.com","complianceState":"compliant","complianceGracePeriodExpirationDateTime":"9999-12-31T23:59:59Z","managementAgent":"mdm","managementState":"managed","isEncrypted":true,"jailBroken":"False","operatingSystem":"Windows","osVersion":"10.0.26200.1","partnerReportedThreatState":"secured","lastSyncDateTime":"2026-11-21T07:58:00.1234567Z"}`, i, i, i, i)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

func BenchmarkSplitPage(b *testing.B) {
	body := examplePage(1000)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if p, err := splitPage(body); err != nil || len(p.rows) != 1000 {
			b.Fatal(err)
		}
	}
}

// BenchmarkDo is all that a look-up costs here, without the network.
func BenchmarkDo(b *testing.B) {
	f := &fake{serve: func(*http.Request) (*http.Response, error) { return answer(200, `{"value":[]}`), nil }}
	c := newClient(b, f.options())
	for i := range c.budgets { // not what is measured
		c.budgets[i].buckets = nil
	}
	r := devices()
	r.Priority = "High"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBudget(b *testing.B) {
	k := &newBudgets()[scopeDefender]
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Minute)
		k.delay(now, 1, true)
	}
}

func BenchmarkFailure(b *testing.B) {
	body, _ := json.Marshal(map[string]any{"error": map[string]any{"code": "TooManyRequests", "message": "Please retry again later.", "innerError": map[string]string{"code": "429", "request-id": "0d6f"}}})
	h := http.Header{"Retry-After": {"2.128"}}
	b.ReportAllocs()
	for b.Loop() {
		failure(IntuneDevices, 429, h, body)
	}
}
