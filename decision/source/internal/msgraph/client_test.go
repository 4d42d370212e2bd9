package msgraph

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestDo(t *testing.T) {
	f := &fake{serve: inOrder(with(200, `{"id":"x"}`, "request-id", "r1"))}
	var observed []Call
	o := f.options()
	o.Observe = func(k Call) { observed = append(observed, k) }
	c := newClient(t, o)
	a, err := c.Do(t.Context(), Request{
		Endpoint: IntuneDevices, Path: "/v1.0/deviceManagement/managedDevices", Priority: "High",
		Query: url.Values{"$filter": {"azureADDeviceId eq '5d0c+1'"}, "$select": {"id,name"}},
	})
	if err != nil || string(a.Body) != `{"id":"x"}` || a.Status != 200 || a.Header.Get("request-id") != "r1" {
		t.Fatalf("Do() = %+v, %v", a, err)
	}
	call := f.seen()[0]
	if want := "https://graph.microsoft.com/v1.0/deviceManagement/managedDevices?$filter=azureADDeviceId%20eq%20%275d0c%2B1%27&$select=id%2Cname"; call.url != want {
		t.Errorf("asked for %s, want %s", call.url, want)
	}
	if len(call.header.Get("client-request-id")) != 36 || call.header.Get("Accept") != jsonType || call.header.Get("x-ms-throttle-priority") != "High" {
		t.Errorf("header %v", call.header)
	}
	if len(observed) != 1 || observed[0].Endpoint != IntuneDevices || observed[0].Status != "2xx" || observed[0].Throttled {
		t.Errorf("observed %+v", observed)
	}
}

func TestStatusMapping(t *testing.T) {
	envelope := func(code string) string { return `{"error":{"code":"` + code + `","message":"why"}}` }
	tests := []struct {
		name   string
		ep     Endpoint
		status int
		body   string
		want   Kind
		code   string
	}{
		{"bad request", DirectoryDevices, 400, envelope("BadRequest"), KindBadRequest, "BadRequest"},
		{"odata", DefenderMachines, 400, envelope("ODataError"), KindBadRequest, "ODataError"},
		{"permission", IntuneDevices, 403, envelope("Forbidden"), KindPermission, "Forbidden"},
		{"proxy page", IntuneDevices, 403, `<html>blocked</html>`, KindAnswer, ""},
		{"not found", DirectoryDevices, 404, envelope("Request_ResourceNotFound"), KindNotFound, "Request_ResourceNotFound"},
		{"not found by a stranger", DirectoryDevices, 404, `no such page`, KindAnswer, ""},
		{"nothing found", DefenderMachines, 404, ``, KindNotFound, ""},
		{"not found as XML", NACDevice, 404, `<error/>`, KindNotFound, ""},
		{"server error", DirectoryDevices, 500, ``, KindUnavailable, ""},
		{"not implemented", DirectoryDevices, 501, envelope("NotImplemented"), KindBadRequest, "NotImplemented"},
		{"bandwidth", DirectoryDevices, 509, ``, KindThrottled, ""},
		{"asked too often", NACList, 503, ``, KindThrottled, ""},
		{"inner code", IntuneDevices, 400, `{"error":{"code":"BadRequest","message":"x","innererror":{"code":"syncStateNotFound","innerError":{"code":"whatever"}}}}`, KindGone, "syncStateNotFound"},
		{"json in message", IntuneDevices, 404, `{"error":{"code":"ResourceNotFound","message":"{\"Message\":\"no such device - Operation ID (for customer support): 1\"}"}}`, KindNotFound, "ResourceNotFound"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{serve: inOrder(with(tt.status, tt.body))}
			inBubble(t, f, func(t *testing.T, c *Client) {
				path := "/v1.0/x"
				if tt.ep.Resource() == Intune {
					path = "https://fef.msua01.manage.microsoft.com/x"
				}
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // no second tries
				defer cancel()
				_, err := c.Do(ctx, Request{Endpoint: tt.ep, Path: path})
				e := wantKind(t, err, tt.want)
				if e.Code != tt.code || e.Status != tt.status {
					t.Errorf("error %+v, want code %q", e, tt.code)
				}
				if tt.want == KindPermission && !strings.Contains(e.Error(), "DeviceManagementManagedDevices.Read.All") {
					t.Errorf("error %q does not name the permission", e.Error())
				}
				if errors.Is(err, source.ErrNotPermitted) != (tt.want == KindPermission) || errors.Is(err, source.ErrNotAccepted) {
					t.Errorf("%v counts as another denial", err)
				}
				if strings.Contains(e.Error(), "Operation ID") {
					t.Errorf("error %q", e.Error())
				}
			})
		})
	}
}

func TestOnlyGetsAreTriedAgain(t *testing.T) {
	reset := errors.New("connection reset by peer")
	for _, tt := range []struct {
		method string
		answer func() (*http.Response, error)
		want   int
	}{
		{"GET", with(503, ``), 3},
		{"GET", with(504, ``), 3},
		{"GET", failing(reset), 3},
		{"GET", with(500, ``), 1},
		{"GET", with(400, `{}`), 1},
		{"GET", with(200, `garbage`), 1},
		{"POST", with(503, ``), 1},
		{"POST", failing(reset), 1},
	} {
		f := &fake{serve: inOrder(tt.answer)}
		inBubble(t, f, func(t *testing.T, c *Client) {
			_, err := c.Do(t.Context(), Request{Endpoint: IntuneDevices, Method: tt.method, Path: "/v1.0/x"})
			if err == nil || len(f.seen()) != tt.want {
				t.Errorf("%s: %d calls, error %v; want %d", tt.method, len(f.seen()), err, tt.want)
			}
		})
	}
}

func TestCircuit(t *testing.T) {
	f := &fake{serve: inOrder(with(500, ``, "request-id", "r9"))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		for range breakerRow {
			wantKind(t, do(t, c), KindUnavailable)
		}
		e := wantKind(t, do(t, c), KindUnavailable)
		if len(f.seen()) != breakerRow || e.RetryAfter != breakerRest || e.RequestID != "r9" {
			t.Errorf("%d calls, error %+v; want %d and a wait of %v", len(f.seen()), e, breakerRow, breakerRest)
		}
		if _, err := c.Do(t.Context(), Request{Endpoint: DirectoryUsers, Path: "/v1.0/users"}); len(f.seen()) != breakerRow+1 {
			t.Errorf("another endpoint was not asked: %v", err)
		}
		time.Sleep(breakerRest + time.Second)
		wantKind(t, do(t, c), KindUnavailable) // the probe
		wantKind(t, do(t, c), KindUnavailable) // open again
		if len(f.seen()) != breakerRow+2 {
			t.Errorf("%d calls, want one probe", len(f.seen()))
		}
		time.Sleep(breakerRest + time.Second)
		f.serve = nil
		for range 3 {
			if err := do(t, c); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestCancelledCallsDoNotOpenTheCircuit(t *testing.T) {
	f := &fake{}
	f.serve = func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	inBubble(t, f, func(t *testing.T, c *Client) {
		for range 2 * breakerRow {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := c.Do(ctx, devices())
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v", err)
			}
		}
		if got := len(f.seen()); got != 2*breakerRow {
			t.Errorf("%d calls, want %d", got, 2*breakerRow)
		}
		// A service that hangs until the caller's time is up does open it.
		for range breakerRow + 1 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := c.Do(ctx, devices())
			cancel()
			wantKind(t, err, KindUnavailable)
		}
		if got := len(f.seen()); got != 3*breakerRow {
			t.Errorf("%d calls, want %d", got, 3*breakerRow)
		}
	})
}

func TestRequestsAreChecked(t *testing.T) {
	f := &fake{}
	c := newClient(t, f.options())
	tests := map[string]Request{
		"endpoint":         {Endpoint: numEndpoints, Path: "/x"},
		"relative":         {Path: "v1.0/x"},
		"query in path":    {Path: "/v1.0/x?a=b"},
		"dot segments":     {Path: "/v1.0/devices/../users"},
		"escaped dots":     {Path: "/v1.0/devices/%2e%2e/users"},
		"escaped slash":    {Path: "/v1.0/devices/a%2f..%2fb"},
		"other host":       {Path: "https://example.com/v1.0/x"},
		"host in path":     {Path: "//example.com/x"}, // stays on our host
		"other service":    {Path: "https://api.security.microsoft.com/x"},
		"token as header":  {Path: "/v1.0/x", Header: http.Header{"authorization": {"Bearer x"}}},
		"unknown priority": {Path: "/v1.0/x", Priority: "Highest"},
		"two queries":      {Path: "https://graph.microsoft.com/v1.0/x?a=b", Query: url.Values{"c": {"d"}}},
		"body":             {Path: "/v1.0/x", Body: make(chan int)},
		"long":             {Path: "/" + strings.Repeat("x", maxLink)},
		"nac elsewhere":    {Endpoint: NACDevice, Path: "https://manage.microsoft.com.example.com/x"},
		"nac look-alike":   {Endpoint: NACDevice, Path: "https://evilmanage.microsoft.com/x"},
	}
	for name, r := range tests {
		if _, err := c.Do(t.Context(), r); err == nil {
			if name == "host in path" && strings.HasPrefix(f.seen()[0].url, "https://graph.microsoft.com/") {
				continue
			}
			t.Errorf("%s: no error", name)
		} else {
			wantKind(t, err, KindBadRequest)
		}
	}
}

func TestCloudWithoutDefender(t *testing.T) {
	f := &fake{}
	o := f.options()
	o.Cloud.Name = "china"
	c := newClient(t, o)
	_, err := c.Do(t.Context(), Request{Endpoint: DefenderMachines, Path: "/api/machines"})
	wantKind(t, err, KindConfig)
}

func TestConcurrentUse(t *testing.T) {
	f := &fake{}
	c := newClient(t, f.options())
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			r := Request{Endpoint: []Endpoint{IntuneDevices, DirectoryDevices, NACDevice}[i%3], Path: "/v1.0/x"}
			if _, err := c.Do(context.Background(), r); err != nil {
				t.Error(err)
			}
			c.Headroom()
		})
	}
	all.Wait()
}
