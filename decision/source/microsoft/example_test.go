package microsoft_test

import (
	"fmt"

	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

// A tenant is connected once and shared by all sources that read it. Mistakes of
// the configuration show before the first call.
func ExampleConnect() {
	cloud, _ := microsoft.ParseCloud("us_gov")
	tenant, err := microsoft.Connect(microsoft.Options{
		Name:     "corp",
		Tenant:   "corp.example.com",
		ClientID: "11111111-2222-4333-8444-555555555555",
		Credential: microsoft.CredentialOptions{
			SecretFile: "client-secret",
		},
		Cloud: cloud,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tenant.Close()
	for _, scope := range tenant.Headroom()[:2] {
		fmt.Printf("%s: %d of %d calls per %s\n", scope.Name, scope.Spent, scope.Budget, scope.Per)
	}

	_, err = microsoft.Connect(microsoft.Options{Name: "corp", Tenant: "corp.example.com"})
	fmt.Println(err)
	// Output:
	// intune: 0 of 1600 calls per 20s
	// intune_writes: 0 of 160 calls per 20s
	// microsoft tenant "corp": want exactly one of client secret, secret file, certificate file, managed identity, workload identity
}
