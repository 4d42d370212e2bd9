package msgraph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// TokenClaims are what an access token says about the application. They are
// decoded and not verified: for diagnosis only. All are empty if the token
// cannot be read.
type TokenClaims struct {
	Roles    []string `json:"roles"` // the application permissions that were granted
	TenantID string   `json:"tid"`
	AppID    string   `json:"appid"`
	Audience string   `json:"aud"`
}

// Token returns what the present token of a resource says, and when it expires.
// It asks for one if there is none. The token itself stays inside.
func (c *Client) Token(ctx context.Context, res Resource) (claims TokenClaims, expires time.Time, err error) {
	ep := numEndpoints
	for i := range endpoints {
		if endpoints[i].resource == res {
			ep = Endpoint(i)
			break
		}
	}
	if ep == numEndpoints || c.bases[res] == nil {
		return claims, expires, &Error{Kind: KindConfig, Message: fmt.Sprintf("cloud %s has no %s service", c.o.Cloud.Name, res)}
	}
	tok, e := c.token(ctx, ep, "", "")
	if e != nil {
		return claims, expires, e
	}
	s := &c.tokens[res]
	s.mu.Lock()
	defer s.mu.Unlock()
	return decodeToken(tok), s.expires, nil
}

func decodeToken(token string) TokenClaims {
	var claims TokenClaims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(b, &claims) != nil {
		return TokenClaims{}
	}
	return claims
}
