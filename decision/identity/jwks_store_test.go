package identity

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testIdP answers key set requests in memory, so that a synctest bubble's clock
// can advance while a request is under way.
type testIdP struct {
	mu     sync.Mutex
	body   []byte
	status int
	header http.Header
	delay  time.Duration
	err    error
	gets   int
}

func (p *testIdP) set(body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body, p.status, p.err = body, http.StatusOK, nil
}

func (p *testIdP) fail(status int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.err = status, err
}

func (p *testIdP) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gets
}

func (p *testIdP) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.gets++
	delay := p.delay
	p.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	return &http.Response{
		StatusCode: p.status, Header: p.header, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(string(p.body))),
	}, nil
}

// start starts an issuer whose keys come from p, in the bubble's time.
func (p *testIdP) start(t *testing.T) *Tokens { return p.startStale(t, 0) }

func (p *testIdP) startStale(t *testing.T, maxStale time.Duration) *Tokens {
	t.Helper()
	if p.header == nil {
		p.header = make(http.Header)
	}
	tokens, err := NewTokens(TokenOptions{Issuers: []IssuerOptions{{
		Name: "corp", URL: corpURL, JWKSURL: corpURL + "/keys", Audiences: []string{"intranet"}, Client: &http.Client{Transport: p}, MaxStale: maxStale,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	tokens.Start(t.Context())
	t.Cleanup(tokens.Close)
	return tokens
}

// testFresh signs a token that is valid now for lifetime.
func testFresh(t *testing.T, key string, lifetime time.Duration) string {
	t.Helper()
	now := time.Now()
	return testSign(t, "ES256", key, `{"alg":"ES256","kid":"`+key+`"}`,
		testJSON(t, testClaims(map[string]any{"iat": now.Unix(), "exp": now.Add(lifetime).Unix(), "jti": now.String()})))
}

func testVerifyReason(t *testing.T, tokens *Tokens, raw, want string) {
	t.Helper()
	_, err := tokens.Verify(t.Context(), raw)
	if got := testReason(t, err); got != want {
		t.Errorf("Verify: got %q, want %q", got, want)
	}
}

func TestStoreFirstLoad(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		idp := &testIdP{delay: 100 * time.Millisecond}
		idp.set(testSet(t, testJWK(t, "ec", "ec", nil)))
		tokens := idp.start(t)
		if st := tokens.Status()[0]; st.Usable || st.Keys != 0 {
			t.Errorf("before the first load: got %+v", st)
		}
		// The very first request waits for the fetch that Start caused.
		testVerifyReason(t, tokens, testFresh(t, "ec", time.Hour), "")
		if got := idp.count(); got != 1 {
			t.Errorf("fetches: got %d, want 1", got)
		}
		if st := tokens.Status()[0]; !st.Usable || st.Keys != 1 || st.Err != "" || st.Loaded.IsZero() || st.Name != "corp" {
			t.Errorf("after: got %+v", st)
		}
	})
}

func TestStoreNeverLoaded(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		idp := &testIdP{delay: 4 * time.Second, err: errors.New("refused")}
		tokens := idp.start(t)
		raw := testFresh(t, "ec", time.Hour)
		begin := time.Now()
		testVerifyReason(t, tokens, raw, ReasonKeysUnavailable)
		if waited := time.Since(begin); waited != jwksDemandWait {
			t.Errorf("waited: got %s, want %s", waited, jwksDemandWait)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin = time.Now()
		if _, err := tokens.Verify(ctx, raw); testReason(t, err) != ReasonKeysUnavailable || time.Since(begin) != 0 {
			t.Errorf("client gone: got %v after %s", err, time.Since(begin))
		}
		time.Sleep(time.Hour)
		if st := tokens.Status()[0]; st.Err == "" || st.Usable || st.Tried.IsZero() || strings.Contains(st.Err, "/keys") {
			t.Errorf("status: got %+v", st)
		}
		if got := idp.count(); got < 50 || got > 130 { // back-off of a minute, less up to a half
			t.Errorf("fetches in an hour of outage: got %d", got)
		}
	})
	// Not started: no network, at once.
	tokens, err := NewTokens(TokenOptions{Issuers: []IssuerOptions{{Name: "corp", URL: corpURL, Audiences: []string{"a"}}}})
	if err != nil {
		t.Fatal(err)
	}
	testVerifyReason(t, tokens, testFresh(t, "ec", time.Hour), ReasonKeysUnavailable)
}

func TestStoreRotation(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		idp := &testIdP{delay: 50 * time.Millisecond}
		idp.set(testSet(t, testJWK(t, "ec", "ec", nil)))
		tokens := idp.start(t)
		time.Sleep(time.Second)
		old := testFresh(t, "ec", 20*time.Hour)
		testVerifyReason(t, tokens, old, "")
		remembered, _ := tokens.Lookup(old, time.Now())

		// A new key appears: the first token of it causes one fetch.
		idp.set(testSet(t, testJWK(t, "ec", "ec", nil), testJWK(t, "ec2", "ec2", nil)))
		testVerifyReason(t, tokens, testFresh(t, "ec2", time.Hour), "")
		if got := idp.count(); got != 2 {
			t.Errorf("fetches: got %d, want 2", got)
		}
		if again, ok := tokens.Lookup(old, time.Now()); !ok || again != remembered {
			t.Error("a token whose key stayed: not remembered")
		}

		// The old key is taken out: tokens of it die at the next poll, also
		// those that are remembered here or by a caller.
		idp.set(testSet(t, testJWK(t, "ec2", "ec2", nil)))
		time.Sleep(jwksPoll + jwksPoll/5 + time.Second)
		if _, ok := tokens.Lookup(old, time.Now()); ok || remembered.Live(time.Now()) {
			t.Error("a token whose key is gone: still remembered")
		}
		testVerifyReason(t, tokens, old, ReasonKeyUnknown)
		testVerifyReason(t, tokens, testFresh(t, "ec2", time.Hour), "")
	})
}

func TestStoreJunkFlood(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		idp := &testIdP{delay: 20 * time.Millisecond}
		idp.set(testSet(t, testJWK(t, "ec", "ec", nil)))
		tokens := idp.start(t)
		time.Sleep(time.Second)
		good := testFresh(t, "ec", time.Hour)
		before := idp.count()
		junk := func(i int) string {
			kid := strings.Repeat("j", i%100+1) + string(rune('a'+i/100%26)) + string(rune('a'+i/2600))
			return testSign(t, "ES256", "ec2", `{"alg":"ES256","kid":"`+kid+`"}`, testJSON(t, testClaims(nil)))
		}
		for i := range 600 { // a minute of ten a second
			testVerifyReason(t, tokens, junk(i), ReasonKeyUnknown)
			begin := time.Now()
			testVerifyReason(t, tokens, good, "")
			if time.Since(begin) != 0 {
				t.Fatal("a known key: had to wait")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if got, most := idp.count()-before, jwksDemandBurst+8; got > most {
			t.Errorf("fetches in a minute: got %d, want at most %d", got, most)
		}

		// A real rotation in the middle of the flood is late by 10 s at most.
		idp.set(testSet(t, testJWK(t, "ec", "ec", nil), testJWK(t, "ec2", "ec2", nil)))
		for i := range 110 {
			testVerifyReason(t, tokens, junk(1000+i), ReasonKeyUnknown)
			time.Sleep(100 * time.Millisecond)
		}
		testVerifyReason(t, tokens, testFresh(t, "ec2", time.Hour), "")
	})
}

func TestStoreJunkKidRemembered(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		idp := &testIdP{}
		idp.set(testSet(t, testJWK(t, "ec", "ec", nil)))
		tokens := idp.start(t)
		time.Sleep(time.Second)
		raw := testFresh(t, "ec2", time.Hour)
		for range 5 {
			testVerifyReason(t, tokens, raw, ReasonKeyUnknown)
		}
		if got := idp.count(); got != 2 {
			t.Errorf("fetches for one junk kid: got %d, want 2 with the first load", got)
		}
		time.Sleep(jwksJunkFor + time.Second)
		testVerifyReason(t, tokens, raw, ReasonKeyUnknown)
		if got := idp.count(); got != 3 {
			t.Errorf("fetches a minute later: got %d, want 3", got)
		}
	})
}

func TestStoreOutage(t *testing.T) {
	testKeys()
	for name, hurt := range map[string]func(*testIdP){
		"status 500": func(p *testIdP) { p.fail(http.StatusInternalServerError, nil) },
		"no network": func(p *testIdP) { p.fail(0, errors.New("refused")) },
		"empty set":  func(p *testIdP) { p.set([]byte(`{"keys":[]}`)) },
		"HTML":       func(p *testIdP) { p.set([]byte(`<html>`)) },
		"too long":   func(p *testIdP) { p.set([]byte(strings.Repeat(" ", jwksMaxBytes+1))) },
		"hanging": func(p *testIdP) {
			p.mu.Lock()
			p.delay = time.Hour
			p.mu.Unlock()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			idp := &testIdP{}
			idp.set(testSet(t, testJWK(t, "ec", "ec", nil)))
			maxStale := 3 * time.Hour
			if name == "status 500" {
				maxStale = 0 // the default of 24 h
			}
			tokens := idp.startStale(t, maxStale)
			if maxStale == 0 {
				maxStale = DefaultMaxStale
			}
			time.Sleep(time.Second)
			hurt(idp)
			long := testFresh(t, "ec", 28*time.Hour)
			testVerifyReason(t, tokens, long, "")
			time.Sleep(maxStale - time.Hour)
			testVerifyReason(t, tokens, testFresh(t, "ec", time.Hour), "")
			if st := tokens.Status()[0]; !st.Usable || st.Err == "" || st.Age < maxStale-2*time.Hour {
				t.Errorf("%s: within max stale: got %+v", name, st)
			}
			time.Sleep(time.Hour)
			if _, ok := tokens.Lookup(long, time.Now()); ok {
				t.Errorf("%s: after max stale: a remembered token still passes", name)
			}
			testVerifyReason(t, tokens, long, ReasonKeysUnavailable)
			if st := tokens.Status()[0]; st.Usable {
				t.Errorf("%s: after max stale: got %+v", name, st)
			}
			idp.mu.Lock()
			idp.delay = 0
			idp.mu.Unlock()
			idp.set(testSet(t, testJWK(t, "ec", "ec", nil)))
			time.Sleep(2 * time.Minute)
			testVerifyReason(t, tokens, long, "")
		})
	}
}

func TestStoreNext(t *testing.T) {
	remote := newJWKSStore(&jwksHTTP{}, jwksRules{}, time.Hour, time.Now)
	for _, tc := range []struct {
		name     string
		maxAge   time.Duration
		failures int
		mid      time.Duration
	}{
		{"no max-age", 0, 0, jwksPoll},
		{"short max-age", time.Second, 0, jwksPollLeast},
		{"middle max-age", 10 * time.Minute, 0, 10 * time.Minute},
		{"long max-age", 24 * time.Hour, 0, jwksPoll},
		{"first failure", 0, 1, jwksRetryFirst * 3 / 4},
		{"many failures", 0, 1000, jwksRetryLast * 3 / 4},
	} {
		for range 100 {
			if got := remote.next(tc.maxAge, tc.failures); got < tc.mid*2/3 || got > tc.mid*4/3 {
				t.Fatalf("%s: got %s, want about %s", tc.name, got, tc.mid)
			}
		}
	}
}

func TestStoreFile(t *testing.T) {
	path := testSetFile(t, testSet(t, testJWK(t, "ec", "ec", nil)))
	replace := func(body []byte) {
		next := filepath.Join(filepath.Dir(path), "next")
		if err := os.WriteFile(next, body, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	both := testSet(t, testJWK(t, "ec", "ec", nil), testJWK(t, "ec2", "ec2", nil))
	synctest.Test(t, func(t *testing.T) {
		tokens, err := NewTokens(TokenOptions{Issuers: []IssuerOptions{{
			Name: "corp", URL: corpURL, JWKSFile: path, Audiences: []string{"intranet"}, MaxStale: time.Hour,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		testVerifyReason(t, tokens, testFresh(t, "ec", time.Hour), "")
		testVerifyReason(t, tokens, testFresh(t, "ec2", time.Hour), ReasonKeyUnknown)
		tokens.Start(t.Context())
		t.Cleanup(tokens.Close)

		replace(both)
		time.Sleep(2 * time.Second)
		testVerifyReason(t, tokens, testFresh(t, "ec2", time.Hour), "")
		time.Sleep(2 * time.Hour) // an unchanged file stays confirmed
		testVerifyReason(t, tokens, testFresh(t, "ec2", time.Hour), "")

		replace([]byte("garbage"))
		time.Sleep(2 * time.Second)
		testVerifyReason(t, tokens, testFresh(t, "ec2", time.Hour), "")
		if st := tokens.Status()[0]; st.Err == "" {
			t.Error("garbage: no error in the status")
		}
		time.Sleep(time.Hour)
		testVerifyReason(t, tokens, testFresh(t, "ec2", time.Hour), ReasonKeysUnavailable)

		replace(both)
		time.Sleep(2 * time.Second)
		testVerifyReason(t, tokens, testFresh(t, "ec2", time.Hour), "")

		// A file that goes away and comes back as it was is good again.
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if st := tokens.Status()[0]; st.Err == "" || !st.Usable {
			t.Errorf("file away: got %+v", st)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if st := tokens.Status()[0]; st.Err != "" || !st.Usable {
			t.Errorf("file back: got %+v", st)
		}
	})
}

func TestStoreCloseTwice(t *testing.T) {
	idp := &testIdP{delay: time.Hour}
	tokens := idp.start(t)
	tokens.Start(t.Context()) // counts for nothing
	tokens.Close()
	tokens.Close()
	tokens.Wait()
	early, err := NewTokens(TokenOptions{Issuers: []IssuerOptions{testCorp(t)}})
	if err != nil {
		t.Fatal(err)
	}
	early.Close()
	early.Start(t.Context())
	early.Wait()
}
