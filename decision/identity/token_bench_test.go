package identity

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// benchClaims make a token of the usual size, about 1.2 KiB.
func benchClaims(i int) map[string]any {
	groups := make([]string, 12)
	for g := range groups {
		groups[g] = fmt.Sprintf("%08x-1111-2222-3333-444455556666", g)
	}
	return testEntraClaims(map[string]any{
		"uti": fmt.Sprint("u", i), "groups": groups, "acrs": []string{"c1"}, "xms_cc": []string{"cp1"}, "deviceid": testDevice,
		"name": "Alice Example", "email": "alice@corp.example", "ipaddr": "192.0.2.1", "azpacr": "1", "rh": "0.AAAA.",
	})
}

func benchTokens(b *testing.B, alg, key string, n int) (*Tokens, []string) {
	b.Helper()
	o := testEntra(b)
	o.JWKSFile = testSetFile(b, testSet(b, testJWK(b, key, key, nil)))
	tokens := testTokens(b, o)
	raws := make([]string, n)
	for i := range raws {
		raws[i] = testSign(b, alg, key, `{"alg":"`+alg+`","kid":"`+key+`","typ":"JWT"}`, testJSON(b, benchClaims(i)))
	}
	return tokens, raws
}

// BenchmarkLookup is a hit among n live tokens, each arriving in memory of its own.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tokens, raws := benchRemember(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, ok := tokens.Lookup(raws[i], testNow); !ok {
					b.Fatal("miss")
				}
				if i += 7919; i >= n {
					i %= n
				}
			}
		})
	}
}

func BenchmarkLookupParallel(b *testing.B) {
	const n = 100_000
	tokens, raws := benchRemember(b, n)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i := 0
		for pb.Next() {
			if _, ok := tokens.Lookup(raws[i], testNow); !ok {
				b.Error("miss")
				return
			}
			i = (i + 7919) % n
		}
	})
}

// benchRemember fills the cache with n copies of one verified token under
// texts of their own, since n signatures would take minutes.
func benchRemember(b *testing.B, n int) (*Tokens, []string) {
	b.Helper()
	tokens, raws := benchTokens(b, "EdDSA", "ed", 1)
	token := testMustVerify(b, tokens, raws[0])
	tokens.cache.drop(raws[0], token)
	out := make([]string, n)
	for i := range out {
		raw := raws[0][:len(raws[0])-8] + fmt.Sprintf("%08d", i)
		tokens.cache.put(strings.Clone(raw), token)
		out[i] = raw
	}
	return tokens, out
}

// BenchmarkVerify is the first sight of a token.
func BenchmarkVerify(b *testing.B) {
	for _, tc := range []struct{ alg, key string }{{"RS256", "rsa"}, {"ES256", "ec"}, {"EdDSA", "ed"}} {
		b.Run(tc.alg, func(b *testing.B) {
			tokens, raws := benchTokens(b, tc.alg, tc.key, 1)
			b.ReportAllocs()
			for b.Loop() {
				token, err := tokens.Verify(b.Context(), raws[0])
				if err != nil {
					b.Fatal(err)
				}
				tokens.cache.drop(raws[0], token)
			}
		})
	}
}

// BenchmarkReject is what a stranger can cause without a key.
func BenchmarkReject(b *testing.B) {
	tokens, raws := benchTokens(b, "RS256", "rsa", 1)
	bad := raws[0][:len(raws[0])-8] + "AAAAAAAA"
	for name, raw := range map[string]string{"signature": bad, "dots": strings.Repeat(".", 8000), "opaque": "0123456789abcdef"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tokens.Verify(b.Context(), raw); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkOwns(b *testing.B) {
	tokens, raws := benchTokens(b, "RS256", "rsa", 1)
	b.ReportAllocs()
	for b.Loop() {
		if !tokens.Owns(raws[0]) {
			b.Fatal("not ours")
		}
	}
}

// TestTokenMemory checks what a remembered token takes, and that the estimate
// that bounds the cache is near it.
func TestTokenMemory(t *testing.T) {
	const n = 400
	raws := make([]string, n)
	for i := range raws {
		raws[i] = testSign(t, "EdDSA", "ed", `{"alg":"EdDSA","kid":"ed"}`, testJSON(t, benchClaims(i)))
	}
	o := testEntra(t)
	o.JWKSFile = testSetFile(t, testSet(t, testJWK(t, "ed", "ed", nil)))
	used := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, tc := range []struct {
		name string
		drop bool
		most int64
	}{{"with claims", false, 6400}, {"without claims", true, 4096}} {
		tokens, err := NewTokens(TokenOptions{Issuers: []IssuerOptions{o}, DropClaims: tc.drop, Now: func() time.Time { return testNow }})
		if err != nil {
			t.Fatal(err)
		}
		before := used()
		for _, raw := range raws {
			if got := testMustVerify(t, tokens, raw); (got.User.Claims == nil) != tc.drop || len(got.User.Groups) != 12 || got.User.Subject != "pairwise" {
				t.Fatalf("%s: got %+v", tc.name, got)
			}
		}
		each := (used() - before) / n
		estimate := tokens.cache.bytes.Load() / n
		t.Logf("%s: a token of %d bytes takes %d, estimated %d", tc.name, len(raws[0]), each, estimate)
		if each > tc.most || each > estimate*5/4 || each < estimate*3/4 {
			t.Errorf("%s: got %d bytes, estimated %d, want at most %d", tc.name, each, estimate, tc.most)
		}
		runtime.KeepAlive(tokens)
	}
	runtime.KeepAlive(raws)
}

// TestStrangerAllocates bounds what a request without any key can make us
// allocate, with the worst inputs that we know of.
func TestStrangerAllocates(t *testing.T) {
	tokens := testTokens(t, testCorp(t))
	sign := func(header, payload string) string { return testSign(t, "ES256", "ec2", header, payload) }
	const head = `{"alg":"ES256","kid":"ec"}`
	claims := strings.TrimSuffix(testJSON(t, testClaims(nil)), "}")
	for name, raw := range map[string]string{
		"wide payload":  sign(head, claims+`,"a":[`+strings.Repeat("0,", 2500)+`0]}`),
		"many members":  sign(head, claims+","+strings.Repeat(`"a":1,`, 900)+`"b":1}`),
		"deep payload":  sign(head, claims+`,"a":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500)+`}`),
		"wide header":   sign(`{"alg":"ES256","kid":"ec","a":[`+strings.Repeat("0,", 1900)+`0]}`, `{}`),
		"header names":  sign(`{"alg":"ES256",`+strings.Repeat(`"\u0061a":1,`, 250)+`"kid":"ec"}`, `{}`),
		"many escapes":  sign(head, claims+`,"\u0061":"`+strings.Repeat(`\u0061`, 800)+`"}`),
		"dots":          strings.Repeat(".", 8<<20),
		"eight MiB":     head + strings.Repeat("A", 8<<20),
		"sixteen KiB":   strings.Repeat("A", 6000) + "." + strings.Repeat("A", 6000) + ".AAAA",
		"JWE":           strings.Repeat("A", 4000) + "." + strings.Repeat("A", 1000) + ".A.A.A",
		"bad signature": sign(head, claims+"}"),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const times = 10
		for range times {
			if tokens.Owns(raw); testVerifyErr(t, tokens, raw) == nil {
				t.Fatalf("%s: accepted", name)
			}
		}
		runtime.ReadMemStats(&after)
		each := (after.TotalAlloc - before.TotalAlloc) / times
		if each > 64<<10 {
			t.Errorf("%s: got %d bytes allocated, want at most 64 KiB", name, each)
		}
	}
}

func testVerifyErr(t *testing.T, tokens *Tokens, raw string) error {
	t.Helper()
	_, err := tokens.Verify(t.Context(), raw)
	return err
}
