package checkup

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func TestState(t *testing.T) {
	var zero State
	if zero == OK || zero.String() != "skipped" {
		t.Errorf("zero state is %s", zero)
	}
	for s := range numStates {
		b, err := json.Marshal(s)
		var back State
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || back != s {
			t.Errorf("%s: %s came back as %s, %v", s, b, back, err)
		}
	}
	var s State
	if s.UnmarshalText([]byte("fine")) == nil {
		t.Error("an unknown word was read")
	}
	if got := Worst([]Finding{Ok("a", ""), Fail("b", "", ""), Warn("c", "", "")}); got != Fault {
		t.Errorf("worst is %s", got)
	}
	if got := Worst(nil); got != Skipped {
		t.Errorf("worst of nothing is %s", got)
	}
}

func TestExpiry(t *testing.T) {
	year := 365 * 24 * time.Hour
	for name, tc := range map[string]struct {
		begins, ends time.Time
		want         State
		text         string
	}{
		"ended":            {noon.Add(-year), noon.Add(-time.Hour), Fault, "1h ago"},
		"ends now":         {noon.Add(-year), noon, Fault, "ended"},
		"not yet":          {noon.Add(time.Hour), noon.Add(year), Fault, "does not count before"},
		"soon":             {noon.Add(-year), noon.Add(20 * 24 * time.Hour), Warning, "in 20d"},
		"far":              {noon.Add(-year), noon.Add(year), OK, "365d"},
		"short-lived":      {noon.Add(-time.Hour), noon.Add(5 * 24 * time.Hour), OK, "5d"},
		"short-lived ends": {noon.Add(-5 * 24 * time.Hour), noon.Add(24 * time.Hour), Warning, "24h"},
		"unknown start":    {time.Time{}, noon.Add(20 * 24 * time.Hour), Warning, "20d"},
	} {
		f := Expiry(CheckCredential, "secret", tc.begins, tc.ends, noon, NoticeCredential, "renew it")
		if f.State != tc.want || !strings.Contains(f.Text, tc.text) || f.Check != CheckCredential {
			t.Errorf("%s: %+v, want %s with %q", name, f, tc.want, tc.text)
		}
		if bad := f.State == Warning || f.State == Fault; bad && f.Fix == "" {
			t.Errorf("%s: no next step", name)
		}
	}
}

func TestPeer(t *testing.T) {
	var p Peer
	if f := p.Clock(); f.State != Skipped {
		t.Errorf("without an answer: %+v", f)
	}
	if f := p.Certificate(noon); f.State != Skipped {
		t.Errorf("without TLS: %+v", f)
	}
	answer := func(at time.Time, age string) *http.Response {
		r := &http.Response{Header: http.Header{"Date": {at.UTC().Format(http.TimeFormat)}}, Request: &http.Request{URL: &url.URL{Host: "graph.example"}}}
		if age != "" {
			r.Header.Set("Age", age)
		}
		return r
	}
	for _, tc := range []struct {
		ahead time.Duration
		want  State
		text  string
	}{
		{0, OK, "agrees"},
		{59 * time.Second, OK, "agrees"},
		{2 * time.Minute, Warning, "2m behind that of graph.example"},
		{-2 * time.Minute, Warning, "ahead of"},
		{10 * time.Minute, Fault, "10m behind"},
		{-5 * time.Minute, Fault, "ahead of"},
	} {
		p.Note(answer(noon.Add(tc.ahead), ""), noon)
		if f := p.Clock(); f.State != tc.want || !strings.Contains(f.Text, tc.text) {
			t.Errorf("%s: %+v, want %s with %q", tc.ahead, f, tc.want, tc.text)
		}
	}
	p = Peer{}
	p.Note(answer(noon.Add(-time.Hour), "3600"), noon)
	if f := p.Clock(); f.State != Skipped {
		t.Errorf("an answer out of a cache: %+v", f)
	}
	r := answer(noon, "")
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{NotBefore: noon.Add(-90 * 24 * time.Hour), NotAfter: noon.Add(24 * time.Hour)}}}
	p.Note(r, noon)
	if f := p.Certificate(noon); f.State != Warning {
		t.Errorf("a certificate that ends tomorrow: %+v", f)
	}
}

func TestUntrusted(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"authority": {fmt.Errorf("call: %w", x509.UnknownAuthorityError{}), "not trusted"},
		"name":      {x509.HostnameError{Certificate: &x509.Certificate{}}, "another name"},
		"expired":   {x509.CertificateInvalidError{Reason: x509.Expired}, "expired"},
		"use":       {x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}, "not valid"},
		"other":     {errors.New("connection refused"), ""},
	} {
		why, ok := Untrusted(tc.err)
		if ok != (tc.want != "") || !strings.Contains(why, tc.want) {
			t.Errorf("%s: %q, %v", name, why, ok)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 40 * time.Second: "40s", 90 * time.Second: "1m30s", 125 * time.Minute: "2h5m",
		49 * time.Hour: "2d1h", 48 * time.Hour: "2d", 24 * time.Hour: "24h", 25 * time.Hour: "1d1h", 100 * 24 * time.Hour: "100d", -time.Minute: "-1m",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %s, want %s", int64(d), got, want)
		}
	}
}
