package msgraph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

// Examine reports on what all sources of the tenant share: whether tokens for the
// given resources can be had, what they allow beyond reading, when the credential
// ends, and whether the clocks agree. used are permissions beyond reading that a
// source makes use of.
func (c *Client) Examine(ctx context.Context, used []string, resources ...Resource) []checkup.Finding {
	var found []checkup.Finding
	var roles []string
	signedIn := false
	for _, res := range resources {
		claims, expires, err := c.Token(ctx, res)
		if err != nil {
			found = append(found, c.judgeToken(res, err))
			if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindConfig && e.Code != noSuchService {
				break // the credential: the other services would say the same
			}
			continue
		}
		signedIn = true
		roles = append(roles, claims.Roles...)
		found = append(found, c.judgeClaims(res, claims, expires))
	}
	if signedIn {
		found = append(found, judgePrivilege(roles, used))
		for _, r := range used {
			if !slices.Contains(roles, r) {
				found = append(found, Need{Role: r, Resource: Graph, Without: "a setting of a source that uses it does nothing"}.missing())
			}
		}
	}
	found = append(found, c.examineCredential(ctx, signedIn && slices.Contains(resources, Graph)))
	return append(found, c.Clock())
}

// noSuchService is the code for a resource that the tenant does not have: it says
// nothing about the credential.
const noSuchService = "AADSTS500011"

// judgeToken says why there is no token. The text has the number that Microsoft's
// documents list.
func (c *Client) judgeToken(res Resource, err error) checkup.Finding {
	f := Judge(checkup.CheckToken, err)
	f.Text = fmt.Sprintf("no token for %s: %s", res, f.Text)
	return f
}

func (c *Client) judgeClaims(res Resource, claims TokenClaims, expires time.Time) checkup.Finding {
	text := fmt.Sprintf("token for %s, good for %s", res, checkup.Span(time.Until(expires)))
	if guid := strings.ToLower(c.o.Tenant); claims.TenantID != "" && !strings.Contains(guid, ".") && guid != "" && strings.ToLower(claims.TenantID) != guid {
		return checkup.Fail(checkup.CheckToken, fmt.Sprintf("token for %s is of tenant %s and not of %s", res, clean(claims.TenantID), c.o.Tenant), "check tenant and credential")
	}
	return checkup.Ok(checkup.CheckToken, text)
}

// judgePrivilege looks for permissions that a gateway has no use for: who steals
// its secret could use them.
func judgePrivilege(roles, used []string) checkup.Finding {
	var surplus []string
	for _, r := range roles {
		if canWrite(r) && !slices.Contains(used, r) {
			surplus = append(surplus, clean(r))
		}
	}
	if len(surplus) == 0 {
		return checkup.Ok(checkup.CheckPrivilege, "the application may do no more than is used")
	}
	slices.Sort(surplus)
	return checkup.Warn(checkup.CheckPrivilege, "the application may do more than the gateway uses: "+listed(slices.Compact(surplus)),
		"remove these permissions from the application: the gateway needs none of them")
}

func canWrite(role string) bool {
	for _, word := range []string{"ReadWrite", ".Write", "Privileged", "Privilig", "FullControl", ".Send", ".Manage", "OwnedBy", ".Create", ".Isolate", ".Wipe", ".Scan"} {
		if strings.Contains(role, word) {
			return true
		}
	}
	return false
}

// maxListed bounds the permissions that one text names.
const maxListed = 12

func listed(names []string) string {
	if len(names) > maxListed {
		return strings.Join(names[:maxListed], ", ") + fmt.Sprintf(" and %d more", len(names)-maxListed)
	}
	return strings.Join(names, ", ")
}

// Clock judges our clock by the answers that came so far. Of several services the
// one that differs most counts.
func (c *Client) Clock() checkup.Finding {
	worst := c.signIn.Clock()
	for i := range c.peers {
		if f := c.peers[i].Clock(); f.State > worst.State {
			worst = f
		}
	}
	return worst
}

// Judge makes a finding of a call that failed. check is what the call was about;
// what the failure itself is about goes before it: the token, a permission, the
// network, a limit. The text has no secret.
func Judge(check string, err error) checkup.Finding {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return checkup.Fail(check, clean(err.Error()), "report this with the version of the gateway")
	}
	said := *e
	said.hint = ""
	text := said.Error()
	if e.Endpoint == numEndpoints || e.Kind == KindConfig { // about the credential: the endpoint is beside the point
		text = strings.TrimSuffix(firstOf(e.Message, e.Code), ".")
		if e.Code != "" && !strings.Contains(text, e.Code) {
			text = e.Code + ": " + text
		}
	}
	f := checkup.Fail(check, text, e.hint)
	switch e.Kind {
	case KindThrottled:
		f.Check, f.State = checkup.CheckHeadroom, checkup.Warning
		f.Fix = "find out which application uses up the limits of the tenant; verdicts get old meanwhile"
	case KindUnauthorized, KindConfig:
		f.Check = checkup.CheckToken
	case KindPermission:
		f.Check = checkup.CheckPermission
	case KindUnavailable:
		f.Check = checkup.CheckReach
		if why, untrusted := checkup.Untrusted(err); untrusted {
			f.Check, f.Text = checkup.CheckCertificate, f.Text+": "+why
			f.Fix = firstOf(f.Fix, "name the authority of the proxy in ca_file")
		} else if f.Fix == "" {
			f.Fix = "check name resolution, the proxy and the firewall between this machine and Microsoft"
		}
	case KindAnswer, KindBadRequest, KindGone:
		f.Check = checkup.CheckAnswer
		f.Fix = firstOf(f.Fix, "look at what stands between this machine and Microsoft, such as a proxy; else report it with the request id")
	case KindNotFound, numKinds:
	}
	f.Fix = firstOf(f.Fix, "check tenant, cloud and the service health of Microsoft")
	return f
}

// ExamineHeadroom reports how much of the limits is left, by what the calls made so
// far were told. It makes no call.
func (c *Client) ExamineHeadroom() []checkup.Finding {
	now := time.Now()
	var found []checkup.Finding
	for _, s := range c.Headroom() {
		const fix = "find out which application uses up the limits of the tenant; verdicts get old meanwhile"
		switch {
		case !s.ThrottledUntil.IsZero():
			found = append(found, checkup.Warn(checkup.CheckHeadroom, fmt.Sprintf("the service throttles %s calls and asks us to wait %s", s.Name, checkup.Span(s.ThrottledUntil.Sub(now))), fix))
		case s.Pressure >= 1:
			found = append(found, checkup.Warn(checkup.CheckHeadroom, fmt.Sprintf("%.0f %% of the limit of %s calls are used up", s.Pressure*100, s.Name), fix))
		case s.Pressure > 0:
			found = append(found, checkup.Ok(checkup.CheckHeadroom, fmt.Sprintf("%.0f %% of the limit of %s calls are used", s.Pressure*100, s.Name)))
		}
	}
	if len(found) == 0 {
		found = append(found, checkup.Ok(checkup.CheckHeadroom, "no service asked us to wait; each tells of its limit only above 80 %"))
	}
	return found
}

// First makes one call of a list and returns its first row, or nil if the list is
// empty. It follows no link. Errors are those of [Client.Do].
func (c *Client) First(ctx context.Context, r Request) (json.RawMessage, error) {
	p, e := c.prepare(r)
	if e != nil {
		return nil, e
	}
	var rows []json.RawMessage
	p.check = func(a *Answer) error {
		var body struct {
			Value *[]json.RawMessage `json:"value"`
		}
		switch err := json.Unmarshal(a.Body, &body); {
		case err != nil:
			return errNotJSON
		case body.Value == nil:
			return errNoRows
		}
		rows = *body.Value
		return nil
	}
	if _, e := c.do(ctx, p); e != nil {
		return nil, e
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return rows[0], nil
}
