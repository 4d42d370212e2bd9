package msgraph

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

// Need is an application permission that a source uses.
type Need struct {
	// Role is the permission as the token names it, such as Device.Read.All.
	Role string
	// Resource is the service that grants it.
	Resource Resource
	// Wider are permissions that contain Role. The one of the same name that also
	// allows writing always does.
	Wider []string
	// Without is what is lost without it; empty: nothing works.
	Without string
}

// apis are the names of the services in the admin centre.
var apis = [numResources]string{Graph: "Microsoft Graph", Defender: "WindowsDefenderATP", Intune: "Microsoft Intune API"}

// Grants are the permissions that the tokens of an application name.
type Grants struct {
	roles map[Resource][]string
	blind map[Resource]bool // the token cannot be read: nobody knows
}

// Has reports whether a permission is there, or may be there because the token
// cannot be read.
func (g *Grants) Has(n Need) bool {
	if g.blind[n.Resource] {
		return true
	}
	return slices.ContainsFunc(g.roles[n.Resource], func(r string) bool {
		return r == n.Role || slices.Contains(n.Wider, r) || r == strings.Replace(n.Role, ".Read.", ".ReadWrite.", 1)
	})
}

// ExaminePermissions compares what a source needs with what the tokens name. The
// grants are nil if there is no token for one of the services: then no call to it
// can work.
func (c *Client) ExaminePermissions(ctx context.Context, needs ...Need) (*Grants, []checkup.Finding) {
	g := &Grants{roles: map[Resource][]string{}, blind: map[Resource]bool{}}
	var found []checkup.Finding
	for _, n := range needs {
		if _, ok := g.roles[n.Resource]; ok {
			continue
		}
		claims, _, err := c.Token(ctx, n.Resource)
		if err != nil {
			return nil, append(found, c.judgeToken(n.Resource, err))
		}
		g.roles[n.Resource] = claims.Roles
		if claims.Audience == "" && claims.AppID == "" {
			g.blind[n.Resource] = true
			found = append(found, checkup.Skip(checkup.CheckPermission, fmt.Sprintf("the token for %s cannot be read: its permissions are not known", n.Resource)))
		}
	}
	var have []string
	for _, n := range needs {
		switch {
		case g.blind[n.Resource]:
		case g.Has(n):
			have = append(have, n.Role)
		default:
			found = append(found, n.missing())
		}
	}
	if len(have) > 0 {
		found = append(found, checkup.Ok(checkup.CheckPermission, "granted: "+strings.Join(have, ", ")))
	}
	return g, found
}

func (n Need) missing() checkup.Finding {
	text := fmt.Sprintf("the application permission %s of %s is missing", n.Role, apis[n.Resource])
	fix := fmt.Sprintf("app registrations, API permissions: add the application permission %s of %s and grant admin consent", n.Role, apis[n.Resource])
	if n.Without == "" {
		return checkup.Fail(checkup.CheckPermission, text+": without it nothing works", fix)
	}
	return checkup.Warn(checkup.CheckPermission, text+": "+n.Without, fix)
}
