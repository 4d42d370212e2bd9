package httpjson

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// maxURL bounds a URL in bytes.
const maxURL = 4096

// template is a URL with placeholders in its path and query. What fills them can
// change neither the host nor the shape of the path.
type template struct {
	parts  []part
	origin origin
}

// part is a piece of the URL: text as it is sent, or a placeholder.
type part struct {
	text string
	name string // of the placeholder, or ""
	// whole is true if the placeholder is all of a query value, where nothing
	// but its decoded text can mean anything.
	whole bool
}

// origin is what must stay the same from page to page (RFC 6454 section 4).
type origin struct{ scheme, host, port string }

func originOf(u *url.URL) origin {
	o := origin{u.Scheme, strings.ToLower(u.Hostname()), u.Port()}
	if o.port == "" {
		o.port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return o
}

// parseTemplate reads a URL that may contain the named placeholders.
func parseTemplate(s string, names ...string) (*template, error) {
	if len(s) > maxURL {
		return nil, fmt.Errorf("longer than %d bytes", maxURL)
	}
	t := &template{}
	query := false
	for rest := s; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		text, err := escapeText(text)
		if err != nil {
			return nil, err
		}
		query = query || strings.Contains(text, "?")
		t.parts = append(t.parts, part{text: text})
		if !found {
			break
		}
		name, next, found := strings.Cut(after, "}")
		if !found || !slices.Contains(names, name) {
			return nil, fmt.Errorf("{%.40s} is no placeholder here; there is {%s}", name, strings.Join(names, "} and {"))
		}
		if scheme, host, ok := strings.Cut(t.parts[0].text, "://"); !ok || scheme == "" || !strings.ContainsAny(host, "/?") {
			return nil, errors.New("placeholder before the path")
		}
		t.parts = append(t.parts, part{
			name:  name,
			whole: query && opensValue(s[:len(s)-len(rest)+strings.IndexByte(rest, '{')]) && (next == "" || next[0] == '&'),
		})
		rest = next
	}
	u, err := url.Parse(t.join(func(part) string { return "x" }))
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if err := checkURL(u); err != nil {
		return nil, err
	}
	t.origin = originOf(u)
	return t, nil
}

// opensValue reports whether a query ends with NAME=, where a value begins.
func opensValue(query string) bool {
	last := query[strings.LastIndexAny(query, "?&")+1:]
	return strings.IndexByte(last, '=') == len(last)-1 && !strings.ContainsRune(last, '{')
}

// escapeText encodes what an operator may write but a URL may not contain, such
// as the quotation marks of a filter.
func escapeText(s string) (string, error) {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 || c == 0x7f || c == '}':
			return "", fmt.Errorf("contains %q", c)
		case c > 0x7f || strings.IndexByte(" \"<>\\^`|", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// checkURL accepts https, and http on this machine. A credential that goes out
// in the clear belongs to everybody on the way.
func checkURL(u *url.URL) error {
	switch {
	case u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("not an absolute URL")
	case u.User != nil:
		return errors.New("contains a user: use a credential option")
	case u.Fragment != "" || u.RawFragment != "":
		return errors.New("contains a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http":
		host := u.Hostname()
		if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
		return errors.New("http is for loopback addresses only: use https")
	}
	return errors.New("scheme is not https")
}

func (t *template) has(name string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.name == name })
}

func (t *template) join(fill func(part) string) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.text)
		} else {
			b.WriteString(fill(p))
		}
	}
	return b.String()
}

// expand fills the placeholders. It reports false if a value cannot stand where
// the template wants it.
func (t *template) expand(values map[string]string) (string, bool) {
	ok := true
	s := t.join(func(p part) string {
		v := values[p.name]
		ok = ok && (p.whole || harmless(v))
		return escapeValue(v)
	})
	return s, ok && len(s) <= maxURL
}

// escapeValue encodes all but ASCII letters, digits and "-_.~".
func escapeValue(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// harmless reports whether a value can stand in a path or a filter expression.
// Encoding is not enough there: proxies decode %2F before they match paths, and
// filters have a syntax of their own.
func harmless(v string) bool {
	dots := true
	for i := range len(v) {
		c := v[i]
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', strings.IndexByte(" _:~-", c) >= 0:
			dots = false
		case c != '.':
			return false
		}
	}
	return !dots
}
