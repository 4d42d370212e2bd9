package identity_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-project/gatehouse/decision/identity"
)

// A token that cannot be accepted comes with a reason from a closed list.
func ExampleTokens() {
	tokens, err := identity.NewTokens(identity.TokenOptions{Issuers: []identity.IssuerOptions{{
		Name: "corp", URL: "https://idp.corp.example", Audiences: []string{"intranet"},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tokens.Close() // and tokens.Start(ctx) to fetch keys

	_, err = tokens.Verify(context.Background(), "not-a-token")
	var refused *identity.TokenError
	if errors.As(err, &refused) {
		fmt.Println(refused.Reason, refused.Unavailable())
	}
	// Output: malformed false
}
