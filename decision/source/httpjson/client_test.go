package httpjson

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

var sn1 = decision.Key{Kind: decision.KindSerial, Value: "SN1"}

// lookUp asks a service that answers with h.
func lookUp(t *testing.T, h http.HandlerFunc, change func(*Options)) (decision.Verdict, error) {
	t.Helper()
	s := fixed(t, h)
	o := good()
	o.URL, o.RootCAs, o.Bearer = s.URL+"/devices/{id}?key=q-secret", s.pool(), "b-secret"
	o.Now = func() time.Time { return noon }
	if change != nil {
		change(&o)
	}
	src := build(t, o)
	l, ok := src.(source.Looker)
	if !ok {
		t.Fatal("source is no Looker")
	}
	v, err := l.Lookup(t.Context(), sn1)
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("error tells a secret: %v", err)
	}
	return v, err
}

// write answers with a body and a content type.
func write(media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		_, _ = w.Write([]byte(body))
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

const fine = `{"serial": "SN1", "status": "compliant"}`

func TestAnswers(t *testing.T) {
	zipped := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write([]byte(`{"serial": "SN1", "status": "compliant", "pad": "`))
			for range n {
				_, _ = z.Write(bytes.Repeat([]byte{' '}, 1<<10))
			}
			_, _ = z.Write([]byte(`"}`))
			_ = z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(b.Bytes())
		}
	}
	tests := map[string]struct {
		h       http.HandlerFunc
		change  func(*Options)
		want    string // in the error; "": a compliant device
		unknown bool
	}{
		"good":               {h: write("application/json", fine)},
		"no content type":    {h: write("", fine)},
		"vendor JSON":        {h: write("application/vnd.mdm+json", "\n "+fine)},
		"compressed":         {h: zipped(1)},
		"compressed bomb":    {h: zipped(8 << 10), want: "too large"},
		"small limit":        {h: write("", fine), change: func(o *Options) { o.MaxBody = 16 }, want: "too large"},
		"spaces only":        {h: write("", strings.Repeat(" ", 64)), change: func(o *Options) { o.MaxBody = 16 }, want: "too large"},
		"web page":           {h: write("text/html; charset=utf-8", fine), want: "web page"},
		"web page as JSON":   {h: write("application/json", "\r\n<!DOCTYPE html>"), want: "HTML or XML"},
		"other compression":  {h: status(200, "Content-Encoding", "br"), want: "content encoding"},
		"empty":              {h: status(200), want: "ends early"},
		"cut off":            {h: write("", fine[:20]), want: "ends early"},
		"duplicate member":   {h: write("", `{"serial": "SN1", "status": "noncompliant", "status": "compliant"}`), want: "twice"},
		"unknown":            {h: status(404), want: "unknown device", unknown: true},
		"unknown as JSON":    {h: status(404, "Content-Type", "application/json"), want: "unknown device", unknown: true},
		"404 as a web page":  {h: status(404, "Content-Type", "text/html"), want: "the address may be wrong"},
		"configured 404":     {h: status(404, "Content-Type", "text/html"), change: func(o *Options) { o.NotFound = []int{404} }, want: "unknown", unknown: true},
		"configured 422":     {h: status(422), change: func(o *Options) { o.NotFound = []int{422, 204} }, want: "unknown", unknown: true},
		"404 not configured": {h: status(404), change: func(o *Options) { o.NotFound = []int{422} }, want: "status 404"},
		"410":                {h: status(410), want: "status 410"},
		"401":                {h: status(401), want: "status 401: the service refuses the bearer token"},
		"401 of nobody":      {h: status(401), change: func(o *Options) { o.Bearer = "" }, want: "without a credential"},
		"403":                {h: status(403), want: "grant read access"},
		"204":                {h: status(204), want: "status 204"},
		"redirect":           {h: status(302, "Location", "/devices/SN1?again"), want: "redirects are not followed"},
		"500":                {h: status(500), want: "status 500"},
		"503":                {h: status(503), want: "status 503"},
		"untrusted":          {h: write("", fine), change: func(o *Options) { o.RootCAs = nil }, want: "certificate"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := lookUp(t, tt.h, tt.change)
			if tt.want == "" {
				if err != nil || v.Compliance != decision.Compliant {
					t.Errorf("Lookup = %v, %v; want compliant", v.Compliance, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
			if got := errors.Is(err, source.ErrUnknownDevice); got != tt.unknown {
				t.Errorf("unknown device = %v, want %v (%v)", got, tt.unknown, err)
			}
		})
	}
}

func TestThrottled(t *testing.T) {
	date := noon.Format(http.TimeFormat)
	tests := []struct {
		code      int
		after     string
		want      time.Duration
		throttled bool
	}{
		{429, "", 0, true},
		{429, "7", 7 * time.Second, true},
		{429, "1.5", 1500 * time.Millisecond, true},
		{429, noon.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second, true},
		{429, noon.Add(-time.Hour).Format(http.TimeFormat), 0, true},
		{429, "-3", 0, true},
		{429, "NaN", 0, true},
		{429, "soon", 0, true},
		{429, "1e300", maxRetryAfter, true},
		{503, "30", 30 * time.Second, true},
		{503, "", 0, false},
		{500, "30", 0, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.code, " ", tt.after), func(t *testing.T) {
			header := []string{"Date", date}
			if tt.after != "" {
				header = append(header, "Retry-After", tt.after)
			}
			_, err := lookUp(t, status(tt.code, header...), nil)
			var got *source.ThrottledError
			if errors.As(err, &got) != tt.throttled {
				t.Fatalf("throttled = %v, want %v (%v)", got != nil, tt.throttled, err)
			}
			if tt.throttled && got.RetryAfter != tt.want {
				t.Errorf("RetryAfter = %v, want %v", got.RetryAfter, tt.want)
			}
		})
	}
}

// A redirect must not even be asked for: the credential would go along.
func TestRedirectIsNotFollowed(t *testing.T) {
	asked := 0
	_, err := lookUp(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}, nil)
	if err == nil || asked != 1 {
		t.Errorf("%d requests, error %v; want one request and an error", asked, err)
	}
}

func TestTimeout(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"endless body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("["))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lookUp(t, h, func(o *Options) { o.Timeout = 50 * time.Millisecond })
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want DeadlineExceeded", err)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	var got *http.Request
	h := func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		write("", fine)(w, r)
	}
	tests := map[string]struct {
		change func(*Options)
		header map[string]string
	}{
		"bearer": {func(o *Options) { o.Bearer = "tok" }, map[string]string{"Authorization": "Bearer tok", "Accept": "application/json"}},
		"basic": {
			func(o *Options) { o.Username, o.Password = "ann", "pw" },
			map[string]string{"Authorization": "Basic YW5uOnB3", "User-Agent": "gatehouse"},
		},
		"own header": {
			func(o *Options) { o.Header = map[string]string{"x-api-key": "k", "accept": "application/vnd.x+json"} },
			map[string]string{"X-Api-Key": "k", "Accept": "application/vnd.x+json", "Authorization": ""},
		},
		"own authorization": {func(o *Options) { o.Header = map[string]string{"Authorization": "SSWS k"} }, map[string]string{"Authorization": "SSWS k"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := lookUp(t, h, func(o *Options) { o.Bearer = ""; tt.change(o) })
			if err != nil {
				t.Fatal(err)
			}
			if got.Method != http.MethodGet || got.URL.Path != "/devices/SN1" {
				t.Errorf("request %s %s", got.Method, got.URL.Path)
			}
			for name, want := range tt.header {
				if v := got.Header.Get(name); v != want {
					t.Errorf("%s = %q, want %q", name, v, want)
				}
			}
		})
	}
}

func TestCredentialIsNotPrinted(t *testing.T) {
	o := good()
	o.Bearer = "b-secret"
	c, err := newCredential(&o)
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", c, c, c, c); strings.Contains(s, "secret") {
		t.Errorf("prints %s", s)
	}
}
