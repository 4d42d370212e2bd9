package microsoft_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConnect(t *testing.T) {
	tenant, err := microsoft.Connect(microsoft.Options{
		Name: "corp", Tenant: "corp.example.com", ClientID: "11111111-2222-4333-8444-555555555555",
		Credential: microsoft.CredentialOptions{SecretFile: "missing"},
	})
	if err != nil {
		t.Fatalf("no remote work and no file is needed to connect: %v", err)
	}
	defer tenant.Close()
	if got := tenant.Headroom(); len(got) == 0 || got[0].Budget == 0 {
		t.Errorf("headroom %+v", got)
	}
	if _, _, err = tenant.Token(t.Context(), microsoft.Graph); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("token without a secret: %v", err)
	}
}

func TestConnectNamesTheMistake(t *testing.T) {
	_, err := microsoft.Connect(microsoft.Options{Name: "corp"})
	if err == nil || !strings.Contains(err.Error(), `"corp"`) || !strings.Contains(err.Error(), "exactly one") {
		t.Errorf("error %v", err)
	}
}

func TestNames(t *testing.T) {
	for _, name := range microsoft.CloudNames() {
		if _, ok := microsoft.ParseCloud(name); !ok {
			t.Errorf("cloud %q is listed and not known", name)
		}
	}
	if len(microsoft.EndpointNames()) == 0 {
		t.Error("no endpoints")
	}
}
