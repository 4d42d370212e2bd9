package caddymodule

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestStrip(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		want   http.Header
		counts map[spoofKind]int
	}{
		{
			name:   "nothing of ours",
			header: http.Header{"Accept": {"*/*"}, "X-Request-Id": {"1"}, "Cookie": {"a=b"}, "Connection": {"keep-alive"}},
			want:   http.Header{"Accept": {"*/*"}, "X-Request-Id": {"1"}, "Cookie": {"a=b"}, "Connection": {"keep-alive"}},
		},
		{
			name: "every spelling of an identity header",
			header: http.Header{
				"X-Device-Id": {"a"}, "X_Device_Id": {"a"}, "x-device_id": {"a"}, "X.Device.Id": {"a"}, "Remote_user": {"root"},
				"Remote-User": {"root"}, "REMOTE-GROUPS": {"admin"}, "X-Gatehouse-Assertion": {"a"}, "X-Device-Compliance": {"yes"},
			},
			want: http.Header{}, counts: map[spoofKind]int{spoofIdentity: 9},
		},
		{
			name: "certificate headers of proxies",
			header: http.Header{
				"X-Forwarded-Client-Cert": {"a"}, "Client-Cert": {"a"}, "Client-Cert-Chain": {"a"}, "Ssl-Client-Verify": {"SUCCESS"},
				"X-Ssl-Client-Cert": {"a"}, "X-Amzn-Mtls-Clientcert": {"a"}, "X-Forwarded-Tls-Client-Cert": {"a"}, "X_SSL_CLIENT_CERT": {"a"},
			},
			want: http.Header{}, counts: map[spoofKind]int{spoofCertificate: 8},
		},
		{
			name:   "rewritten addresses",
			header: http.Header{"X-Forwarded-Uri": {"/x"}, "X-Original-Url": {"/x"}, "X-Rewrite-Url": {"/x"}, "X-Original-Method": {"GET"}},
			want:   http.Header{}, counts: map[spoofKind]int{spoofURI: 4},
		},
		{
			name:   "hop by hop",
			header: http.Header{"Connection": {"close, X-Device-Id", "x_device_id", "upgrade,remote-user , te"}},
			want:   http.Header{"Connection": {"close", "upgrade, te"}}, counts: map[spoofKind]int{spoofHop: 3},
		},
		{
			name:   "upgrade to HTTP",
			header: http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"websocket, H2C"}, "Http2-Settings": {"AAMAAABk"}},
			want:   http.Header{"Connection": {"Upgrade, HTTP2-Settings"}}, counts: map[spoofKind]int{spoofUpgrade: 1},
		},
		{
			name:   "upgrade to something else",
			header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}},
			want:   http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}},
		},
		{
			name:   "hop by hop, nothing else",
			header: http.Header{"Connection": {"x-device-id"}},
			want:   http.Header{}, counts: map[spoofKind]int{spoofHop: 1},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			counts := map[spoofKind]int{}
			r := &http.Request{Header: tc.header}
			strip(r, func(k spoofKind) { counts[k]++ })
			if len(r.Header) != len(tc.want) {
				t.Errorf("headers %v, want %v", r.Header, tc.want)
			}
			for k, v := range tc.want {
				if !slices.Equal(r.Header[k], v) {
					t.Errorf("%s is %q, want %q", k, r.Header[k], v)
				}
			}
			for k := spoofIdentity; k < numSpoofKinds; k++ {
				if counts[k] != tc.counts[k] {
					t.Errorf("%s counted %d times, want %d", spoofKindNames[k], counts[k], tc.counts[k])
				}
			}
		})
	}
}

func TestStripTrailersThatComeLate(t *testing.T) {
	r := &http.Request{
		Header:  http.Header{},
		Trailer: http.Header{"X-Device-Id": nil, "Checksum": nil},
		Body:    io.NopCloser(strings.NewReader("body")),
	}
	var counted int
	strip(r, func(spoofKind) { counted++ })
	if _, ok := r.Trailer["X-Device-Id"]; ok {
		t.Error("the announced trailer stayed")
	}
	r.Trailer["Checksum"] = []string{"1"} // as the server does at the end of the body
	r.Trailer["Remote_User"] = []string{"root"}
	_, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Trailer) != 1 || r.Trailer.Get("Checksum") != "1" {
		t.Errorf("trailers %v, want only Checksum", r.Trailer)
	}
	if counted != 2 {
		t.Errorf("counted %d, want 2", counted)
	}
}

// TestStripLongNames: a long name that begins like one of ours is removed too.
func TestStripLongNames(t *testing.T) {
	long := "X_Original-" + strings.Repeat("u", 100)
	r := &http.Request{Header: http.Header{long: {"/x"}, "X-Other-" + strings.Repeat("u", 100): {"y"}}}
	strip(r, func(spoofKind) {})
	if len(r.Header) != 1 || r.Header[long] != nil {
		t.Errorf("left: %v", r.Header)
	}
}

func TestStripAllocatesNothing(t *testing.T) {
	r := &http.Request{Header: http.Header{
		"Accept": {"*/*"}, "User-Agent": {"x"}, "Authorization": {"Bearer x"}, "Cookie": {"a=b"}, "Content-Type": {"text/plain"},
		"X-Request-Id": {"1"}, "Sec-Fetch-Mode": {"cors"}, "Connection": {"keep-alive"}, "Referer": {"https://a.example/"},
	}}
	if n := testing.AllocsPerRun(100, func() { strip(r, nil) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// FuzzStrip: whatever arrives, no name that folds to one of ours is left, and
// what is not ours stays as it was.
func FuzzStrip(f *testing.F) {
	for _, seed := range []string{"X-Device-Id", "x_device.id", "Remote-User", "Connection", "Accept", "X-Original-Foo", "client_cert", "\u017fsl-client-verify"} {
		f.Add(seed, "close, X-Device-Id, x.device_id", "value")
	}
	f.Fuzz(func(t *testing.T, name, connection, value string) {
		r := &http.Request{Header: http.Header{name: {value}, "Connection": {connection}}, Trailer: http.Header{name: {value}}}
		ours := classify(name) != notOurs
		strip(r, func(spoofKind) {})
		for k := range r.Header {
			if classify(k) != notOurs {
				t.Fatalf("%q is left", k)
			}
		}
		for k := range r.Trailer {
			if classify(k) != notOurs {
				t.Fatalf("trailer %q is left", k)
			}
		}
		for _, line := range r.Header["Connection"] {
			if name == "Connection" {
				break
			}
			for tok := range strings.SplitSeq(line, ",") {
				if classify(strings.TrimSpace(tok)) != notOurs {
					t.Fatalf("Connection still names %q", tok)
				}
			}
		}
		if _, ok := r.Header[name]; !ours && !ok && name != "Connection" {
			t.Fatalf("%q was removed though it is not ours", name)
		}
	})
}
