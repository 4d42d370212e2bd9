package msgraph

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func TestClaimsChallenge(t *testing.T) {
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
	std := base64.StdEncoding.EncodeToString([]byte(claims))
	raw := base64.RawURLEncoding.EncodeToString([]byte(claims))
	for name, tt := range map[string]struct {
		header []string
		want   string
	}{
		"as documented":    {[]string{`Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000", error="insufficient_claims", claims="` + std + `"`}, claims},
		"url alphabet":     {[]string{`Bearer error="insufficient_claims",claims="` + raw + `"`}, claims},
		"bare values":      {[]string{`Bearer error=insufficient_claims, claims=` + raw}, claims},
		"other case":       {[]string{`bearer ERROR="Insufficient_Claims", Claims="` + std + `"`}, claims},
		"second header":    {[]string{`Negotiate`, `Bearer error="insufficient_claims", claims="` + std + `"`}, claims},
		"escaped quote":    {[]string{`Bearer realm="a \" b, error=x", error="insufficient_claims", claims="` + std + `"`}, claims},
		"other error":      {[]string{`Bearer error="invalid_token", claims="` + std + `"`}, ""},
		"no claims":        {[]string{`Bearer error="insufficient_claims"`}, ""},
		"not base64":       {[]string{`Bearer error="insufficient_claims", claims="!!"`}, ""},
		"not JSON":         {[]string{`Bearer error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString([]byte("[1]")) + `"`}, ""},
		"too long":         {[]string{`Bearer error="insufficient_claims", claims="` + strings.Repeat("A", maxClaims+1) + `"`}, ""},
		"never ends":       {[]string{`Bearer error="insufficient_claims", claims="` + std}, claims},
		"nothing":          {nil, ""},
		"first one counts": {[]string{`Bearer error="insufficient_claims", claims="` + std + `", claims="e30="`}, claims},
	} {
		if got := claimsChallenge(http.Header{"Www-Authenticate": tt.header}); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestDecodeError(t *testing.T) {
	for name, tt := range map[string]struct{ body, code, message, id string }{
		"graph":     {`{"error":{"code":"Forbidden","message":"no","innerError":{"request-id":"r1"}}}`, "Forbidden", "no", "r1"},
		"lower":     {`{"error":{"code":"Forbidden","message":"no","innererror":{"request-id":"r1"}}}`, "Forbidden", "no", "r1"},
		"nested":    {`{"error":{"code":"BadRequest","innerError":{"code":"odd","innererror":{"code":"resyncRequired"}}}}`, "resyncRequired", "", ""},
		"defender":  {`{"error":{"code":"NotFound","message":"m","target":"t1"}}`, "NotFound", "m", "t1"},
		"sign-in":   {`{"error":"invalid_client","error_description":"AADSTS7000215: x","trace_id":"t"}`, "invalid_client", "AADSTS7000215: x", "t"},
		"no error":  {`{"value":[]}`, "", "", ""},
		"null":      {`{"error":null}`, "", "", ""},
		"empty":     {`{"error":""}`, "", "", ""},
		"array":     {`{"error":[]}`, "", "", ""},
		"not JSON":  {`<html>`, "", "", ""},
		"deep":      {`{"error":{"code":"a","innerError":` + strings.Repeat(`{"innerError":`, 50) + `{"code":"resyncRequired"}` + strings.Repeat(`}`, 50) + `}}`, "a", "", ""},
		"odd inner": {`{"error":{"code":"a","message":"m","innerError":"text"}}`, "a", "m", ""},
	} {
		got := decodeError([]byte(tt.body))
		if got.code != tt.code || got.message != tt.message || got.requestID != tt.id || got.found != (tt.code != "") {
			t.Errorf("%s: %+v, want %+v", name, got, tt)
		}
	}
}
