package msgraph

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// locate makes the URL of a path or of a link. A token is only ever sent to the
// service that it is for.
func (c *Client) locate(res Resource, path string) (*url.URL, error) {
	base := c.bases[res]
	if len(path) > maxLink {
		return nil, fmt.Errorf("link is longer than %d bytes", maxLink)
	}
	if strings.HasPrefix(path, "/") {
		if strings.ContainsAny(path, "?#\\") {
			return nil, fmt.Errorf("path with a query, fragment or backslash")
		}
		u, err := url.Parse(strings.TrimSuffix(base.String(), "/") + path)
		if err != nil || u.Host != base.Host {
			return nil, fmt.Errorf("path cannot be read")
		}
		return u, plainPath(u)
	}
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return nil, fmt.Errorf("link is not an https URL without user and fragment")
	}
	if !c.mayCall(res, u) {
		return nil, fmt.Errorf("link leads to %s, not to the %s service", clean(u.Host), res)
	}
	u.RawQuery = strings.ReplaceAll(u.RawQuery, " ", "%20") // some links are not escaped
	return u, plainPath(u)
}

// mayCall reports whether a token of res may be sent to a link's host. The
// compliance retrieval service has no fixed host: the tenant's one is below the
// same domain as its resource name, or where a test's Graph is.
func (c *Client) mayCall(res Resource, u *url.URL) bool {
	base := c.bases[res]
	if sameOrigin(u, base) && within(u, base) {
		return true
	}
	if res != Intune {
		return false
	}
	if graph := c.bases[Graph]; sameOrigin(u, graph) {
		return true
	}
	_, domain, ok := strings.Cut(base.Hostname(), ".")
	return ok && strings.Count(domain, ".") >= 2 && net.ParseIP(base.Hostname()) == nil &&
		port(u) == port(base) && strings.HasSuffix(strings.ToLower(u.Hostname()), "."+strings.ToLower(domain))
}

func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "443"
}

// within reports whether a link stays below the base's path.
func within(u, base *url.URL) bool {
	prefix := strings.TrimSuffix(base.Path, "/")
	return prefix == "" || u.Path == prefix || strings.HasPrefix(u.Path, prefix+"/")
}

// plainPath refuses dot segments: an id of a client must not change the route.
func plainPath(u *url.URL) error {
	for _, segment := range strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return fmt.Errorf("path with dot segments")
		}
	}
	return nil
}

// encodeQuery orders and escapes a query. OData names keep their dollar sign,
// and a blank is %20: some services take a plus for a plus.
func encodeQuery(q url.Values) string {
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	names := make([]string, 0, len(q))
	for name := range q {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		for _, value := range q[name] {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(strings.ReplaceAll(escape(name), "%24", "$") + "=" + escape(value))
		}
	}
	return b.String()
}
