package msgraph

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// emulated is a client of a whole fake Microsoft, over TLS and HTTP/2.
func emulated(t *testing.T, o emulator.Options, change func(*Options)) (*emulator.Server, *Client, string) {
	t.Helper()
	s := emulator.New(o)
	base, roots, stop := s.Start()
	t.Cleanup(stop)
	options := Options{
		Name: "corp", Tenant: emulator.DefaultTenant, ClientID: emulator.DefaultClientID,
		Credential: CredentialOptions{Secret: emulator.DefaultSecret}, RootCAs: roots,
		Cloud: Cloud{Authority: base + "/login", Graph: base + "/graph", Defender: base + "/defender", Intune: base + "/nac-resource"},
	}
	if change != nil {
		change(&options)
	}
	return s, newClient(t, options), base
}

func managedDevices() Request {
	return Request{
		Endpoint: IntuneDevices, Path: "/v1.0/deviceManagement/managedDevices", Priority: "Low",
		Query: url.Values{"$select": {"id,azureADDeviceId,complianceState"}},
	}
}

func TestEveryService(t *testing.T) {
	s, c, _ := emulated(t, emulator.Options{Devices: 2500}, nil)
	ids := map[string]bool{}
	last, err := c.Pages(t.Context(), managedDevices(), func(raw json.RawMessage) error {
		var row struct{ ID string }
		if err := json.Unmarshal(raw, &row); err != nil {
			return err
		}
		ids[row.ID] = true
		return nil
	})
	if err != nil || last.Pages < 3 || last.Count != len(ids) || last.Count < 2000 {
		t.Errorf("managed devices: %+v, %d ids, %v", last, len(ids), err)
	}
	delta := Request{Endpoint: DirectoryDevices, Path: "/v1.0/devices/delta", Query: url.Values{"$select": {"id,deviceId,isCompliant"}}}
	last, err = c.Pages(t.Context(), delta, func(json.RawMessage) error { return nil })
	if err != nil || last.DeltaLink == "" || last.Count < 2000 {
		t.Fatalf("delta: %+v, %v", last, err)
	}
	last, err = c.Pages(t.Context(), Request{Endpoint: DirectoryDevices, Path: last.DeltaLink}, func(json.RawMessage) error { return nil })
	if err != nil || last.DeltaLink == "" || last.Pages != 1 {
		t.Errorf("delta link: %+v, %v", last, err)
	}
	machines := Request{Endpoint: DefenderMachines, Path: "/api/machines", Query: url.Values{"$top": {"10000"}}}
	if last, err = c.Pages(t.Context(), machines, func(json.RawMessage) error { return nil }); err != nil || last.Count < 1000 {
		t.Errorf("machines: %+v, %v", last, err)
	}
	var service string
	_, err = c.Pages(t.Context(), Request{Endpoint: Discovery, Path: "/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints"}, func(raw json.RawMessage) error {
		var row struct{ ProviderName, URI string }
		if err := json.Unmarshal(raw, &row); err != nil {
			return err
		}
		if strings.EqualFold(row.ProviderName, "ComplianceRetrievalService") {
			service = row.URI
		}
		return nil
	})
	if err != nil || service == "" {
		t.Fatalf("discovery: %q, %v", service, err)
	}
	var id string
	for id = range ids {
		break
	}
	a, err := c.Do(t.Context(), Request{
		Endpoint: NACDevice, Path: strings.TrimSuffix(service, "/") + "/cisco/devices/", Accept: "application/xml",
		Query: url.Values{"paging": {"0"}, "querycriteria": {"guid"}, "value": {id}, "filter": {"all"}},
	})
	if err != nil || !strings.Contains(string(a.Body), id) {
		t.Errorf("compliance retrieval: %v", err)
	}
	one := managedDevices()
	one.Path, one.Priority = "/v1.0/deviceManagement/managedDevices/"+id, "High"
	none := one
	none.Path = "/v1.0/deviceManagement/managedDevices/00000000-1111-4222-8333-444444444444"
	answers, err := c.Batch(t.Context(), []Request{one, none})
	if err != nil || answers[0].Err != nil || !strings.Contains(string(answers[0].Body), id) {
		t.Fatalf("batch: %+v, %v", answers, err)
	}
	wantKind(t, answers[1].Err, KindNotFound)
	for _, res := range []Resource{Graph, Defender, Intune} {
		if claims, expires, err := c.Token(t.Context(), res); err != nil || len(claims.Roles) == 0 || claims.TenantID != emulator.DefaultTenant || time.Until(expires) < time.Minute {
			t.Errorf("token of %s: %+v, %v", res, claims, err)
		}
	}
	if got := s.Calls()["login/token"]; got != 3 {
		t.Errorf("%d token requests, want one per service", got)
	}
	s.Check(t)
}

func TestEmulatedFaults(t *testing.T) {
	tests := []struct {
		name  string
		route string
		fault emulator.Fault
		want  Kind
	}{
		{"endless body", "graph/managedDevices", emulator.Fault{Kind: emulator.EndlessBody}, KindAnswer},
		{"gzip bomb", "graph/managedDevices", emulator.Fault{Kind: emulator.GzipBomb}, KindAnswer},
		{"page of a portal", "graph/managedDevices", emulator.Fault{Kind: emulator.HTML200}, KindAnswer},
		{"garbage", "graph/managedDevices", emulator.Fault{Kind: emulator.Garbage}, KindAnswer},
		{"foreign link", "graph/managedDevices", emulator.Fault{Kind: emulator.ForeignNextLink}, KindAnswer},
		{"half a page", "graph/managedDevices", emulator.Fault{Kind: emulator.HalfPage}, KindUnavailable},
		{"reset", "graph/managedDevices", emulator.Fault{Kind: emulator.Reset}, KindUnavailable},
		{"hang", "graph/managedDevices", emulator.Fault{Kind: emulator.Hang}, KindUnavailable},
		{"server error", "graph/managedDevices", emulator.Fault{Kind: emulator.Status, Status: 500}, KindUnavailable},
		{"throttled", "graph/managedDevices", emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "30"}, KindThrottled},
		{"refused token", "graph/managedDevices", emulator.Fault{Kind: emulator.WrongAudience}, KindUnauthorized},
		{"token for another service", "login/token", emulator.Fault{Kind: emulator.WrongAudience}, KindUnauthorized},
		{"expired secret", "login/token", emulator.Fault{Kind: emulator.ExpiredSecret}, KindConfig},
		{"wrong secret", "login/token", emulator.Fault{Kind: emulator.WrongSecret}, KindConfig},
		{"unknown application", "login/token", emulator.Fault{Kind: emulator.UnknownApp}, KindConfig},
		{"unknown tenant", "login/token", emulator.Fault{Kind: emulator.UnknownTenant}, KindConfig},
		{"page of a portal for a token", "login/token", emulator.Fault{Kind: emulator.HTML200}, KindAnswer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, c, _ := emulated(t, emulator.Options{Devices: 3}, nil)
			clear := s.Fail(tt.route, tt.fault)
			patience := time.Minute
			if tt.want == KindUnavailable { // and not for second tries
				patience = 700 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			r := managedDevices()
			r.MaxBody = 1 << 20
			_, err := c.Pages(ctx, r, func(json.RawMessage) error { return nil })
			e := wantKind(t, err, tt.want)
			if strings.Contains(e.Error(), emulator.DefaultSecret) || strings.Contains(e.Error(), "\n") {
				t.Errorf("error %q", e.Error())
			}
			clear()
		})
	}
}

// Faults that a client gets over by itself.
func TestEmulatedHiccups(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"throttled briefly": {Kind: emulator.Throttle429, Count: 1, RetryAfter: "0.05"},
		"reset once":        {Kind: emulator.Reset, Count: 1},
		"claims challenge":  {Kind: emulator.InsufficientClaims, Count: 1},
		"token refused":     {Kind: emulator.WrongAudience, Count: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := emulated(t, emulator.Options{Devices: 3}, nil)
			s.Fail("graph/managedDevices", fault)
			high := managedDevices()
			high.Priority = "High"
			last, err := c.Pages(t.Context(), high, func(json.RawMessage) error { return nil })
			if err != nil || last.Count == 0 {
				t.Errorf("%+v, %v", last, err)
			}
		})
	}
}

func TestMissingPermissionIsNamed(t *testing.T) {
	s, c, _ := emulated(t, emulator.Options{Devices: 3}, nil)
	s.Grant("DeviceManagementManagedDevices.Read.All", false)
	_, err := c.Do(t.Context(), managedDevices())
	if e := wantKind(t, err, KindPermission); !strings.Contains(e.Error(), "DeviceManagementManagedDevices.Read.All") {
		t.Errorf("error %q", e.Error())
	}
}

func TestExportIsDownloaded(t *testing.T) {
	_, c, _ := emulated(t, emulator.Options{Devices: 5}, nil)
	a, err := c.Do(t.Context(), Request{
		Endpoint: Reports, Method: "POST", Path: "/beta/deviceManagement/reports/exportJobs",
		Body: map[string]any{"reportName": "DevicesWithInventory", "format": "csv", "select": []string{"DeviceId", "ReferenceId", "CompliantState"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var job struct{ ID, Status, URL string }
	for range 50 {
		if err = json.Unmarshal(a.Body, &job); err != nil {
			t.Fatal(err)
		}
		if job.URL != "" {
			break
		}
		if a, err = c.Do(t.Context(), Request{Endpoint: Reports, Path: "/beta/deviceManagement/reports/exportJobs('" + url.PathEscape(job.ID) + "')"}); err != nil {
			t.Fatal(err)
		}
	}
	file, err := c.Download(t.Context(), Reports, job.URL, 1<<20)
	if err != nil || !strings.HasPrefix(string(file), "PK") {
		t.Errorf("file of %d bytes, %v", len(file), err)
	}
}

func TestEmulatedIdentities(t *testing.T) {
	t.Run("managed", func(t *testing.T) {
		_, c, base := emulated(t, emulator.Options{Devices: 3}, func(o *Options) { o.Credential = CredentialOptions{ManagedIdentity: true} })
		t.Setenv("IDENTITY_ENDPOINT", base+"/login/msi/token")
		t.Setenv("IDENTITY_HEADER", emulator.IdentityHeader)
		if _, err := c.Do(t.Context(), managedDevices()); err != nil {
			t.Error(err)
		}
	})
	t.Run("workload", func(t *testing.T) {
		s, c, _ := emulated(t, emulator.Options{Devices: 3}, func(o *Options) { o.Credential = CredentialOptions{WorkloadIdentity: true} })
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(s.FederatedToken()), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
		if _, err := c.Do(t.Context(), managedDevices()); err != nil {
			t.Error(err)
		}
	})
	t.Run("certificate", func(t *testing.T) {
		s, c, _ := emulated(t, emulator.Options{Devices: 3}, func(o *Options) {
			o.Credential = CredentialOptions{CertificateFile: "testdata/client.p12", CertificatePassword: "open-sesame"}
		})
		certs, _, err := loadCertificate("testdata/client.p12", "open-sesame")
		if err != nil {
			t.Fatal(err)
		}
		s.RegisterCertificate(certs[0])
		if _, err := c.Do(t.Context(), managedDevices()); err != nil {
			t.Error(err)
		}
	})
}
