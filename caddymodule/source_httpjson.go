package caddymodule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/httpjson"
)

func init() {
	caddy.RegisterModule((*HTTPJSONSource)(nil))
}

// HTTPJSONSource reads any service that answers with JSON: a device management
// system, a threat sensor, an in-house inventory.
type HTTPJSONSource struct {
	guest
	// URL asks for one device; {id} and {kind} are replaced. Item is the JSON
	// pointer to the device in the answer, Kinds are the ids it can be asked for.
	URL      string   `json:"url,omitempty"`
	Item     string   `json:"item,omitempty"`
	Kinds    []string `json:"kinds,omitempty"`
	NotFound []int    `json:"not_found,omitempty"`

	// List asks for all devices.
	List *HTTPJSONList `json:"list,omitempty"`

	// Header is sent with every request. Values may be placeholders.
	Header map[string]string `json:"header,omitempty"`
	// Bearer is one placeholder with a token. A file is read at every request.
	Bearer string `json:"bearer,omitempty"`
	// Username and Password (one placeholder) for basic authentication. A file is
	// read at every request.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// ClientCredentials gets tokens by OAuth 2.
	ClientCredentials *ClientCredentials `json:"client_credentials,omitempty"`

	// CAFile holds the service's authorities, PEM. Default: the system's.
	CAFile string `json:"ca_file,omitempty"`
	// Timeout bounds one request; default 30 s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// Poll is the time between two listings, or the age at which a device is
	// asked for again; default 10 min.
	Poll caddy.Duration `json:"poll,omitempty"`
	// Supplementary sources say nothing about whether a device exists.
	Supplementary bool `json:"supplementary,omitempty"`

	// Portal is where people look after the devices that this system manages. The
	// page of a refused device names it.
	Portal *Portal `json:"portal,omitempty"`

	// Map says where the normalised fields are found.
	Map []HTTPJSONField `json:"map,omitempty"`
}

// httpjsonPoll is within max_age of the standard tier.
const httpjsonPoll = 10 * time.Minute

// HTTPJSONList is how a service lists its devices.
type HTTPJSONList struct {
	URL           string `json:"url"`
	Items         string `json:"items,omitempty"`
	FirstPage     int    `json:"first_page,omitempty"`
	Next          string `json:"next,omitempty"`
	NextParameter string `json:"next_parameter,omitempty"`
	MaxPages      int    `json:"max_pages,omitempty"`
}

// ClientCredentials are those of the OAuth 2 grant of that name.
type ClientCredentials struct {
	TokenURL string `json:"token_url"`
	ClientID string `json:"client_id"`
	// ClientSecret is one placeholder. A file is read at every sign-in.
	ClientSecret string `json:"client_secret"`
	Scope        string `json:"scope,omitempty"`
}

// HTTPJSONField is one normalised field: a JSON pointer, or a CEL expression.
type HTTPJSONField struct {
	Name   string            `json:"name"`
	From   string            `json:"from"`
	Values map[string]string `json:"values,omitempty"`
}

// CaddyModule returns the module's registration.
func (*HTTPJSONSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "compliance.sources.httpjson", New: func() caddy.Module { return new(HTTPJSONSource) }}
}

// UnmarshalCaddyfile reads
//
//	source httpjson NAME [URL] {
//	    kinds entra|intune|serial|NAME...
//	    item POINTER
//	    not_found STATUS...
//	    list URL {
//	        items POINTER
//	        first_page N
//	        next POINTER [parameter NAME]
//	        max_pages N
//	    }
//	    bearer {env.TOKEN}|{file./path}
//	    basic USER {env.PASSWORD}
//	    client_credentials TOKEN_URL CLIENT_ID {env.SECRET} [SCOPE]
//	    header NAME VALUE
//	    ca_file PATH
//	    timeout 30s
//	    poll 10m
//	    supplementary
//	    map FIELD POINTER-or-EXPRESSION {
//	        WORD NORMALISED
//	    }
//	}
func (s *HTTPJSONSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.NextArg() || d.Val() == "" {
		return d.Errf("source httpjson needs a name, and the URL that asks for one device or a list line")
	}
	s.Name = d.Val()
	if d.NextArg() {
		s.URL = d.Val()
	}
	words := s.words(d)
	delete(words, "name") // it is the first argument
	for word, read := range map[string]func(string) error{
		"kinds":   func(string) error { return values(d, &s.Kinds) },
		"item":    func(string) error { return value(d, &s.Item) },
		"list":    func(string) error { return s.parseList(d) },
		"map":     func(string) error { return s.parseMap(d) },
		"ca_file": func(string) error { return value(d, &s.CAFile) },
		"timeout": func(string) error { return duration(d, &s.Timeout) },
		"poll":    pollWord(d, &s.Poll, time.Second),
		"bearer":  func(string) error { return value(d, &s.Bearer) },
		"portal":  func(string) error { return parsePortal(d, &s.Portal) },
		"supplementary": func(string) error {
			s.Supplementary = true
			return nothingMore(d)
		},
		"not_found": func(string) error {
			var args []string
			err := values(d, &args)
			for _, a := range args {
				n, convErr := strconv.Atoi(a)
				if convErr != nil {
					return d.Errf("not_found takes statuses such as 404, not %q", a)
				}
				s.NotFound = append(s.NotFound, n)
			}
			return err
		},
		"basic": func(string) error {
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("basic takes a user and a password")
			}
			s.Username, s.Password = args[0], args[1]
			return nil
		},
		"client_credentials": func(string) error {
			args := d.RemainingArgs()
			if len(args) < 3 || len(args) > 4 {
				return d.Errf("client_credentials takes the token URL, the client id, the secret and, if there is one, the scope")
			}
			s.ClientCredentials = &ClientCredentials{TokenURL: args[0], ClientID: args[1], ClientSecret: args[2]}
			if len(args) == 4 {
				s.ClientCredentials.Scope = args[3]
			}
			return nil
		},
		"header": func(string) error {
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("header takes a name and a value")
			}
			if s.Header == nil {
				s.Header = map[string]string{}
			}
			s.Header[args[0]] = args[1]
			return nil
		},
	} {
		words[word] = read
	}
	err := block(d, "source httpjson", words, "header", "map")
	if err == nil {
		_, err = s.options(laterOf)
		if err != nil {
			err = d.Err(err.Error())
		}
	}
	return err
}

func (s *HTTPJSONSource) parseList(d *caddyfile.Dispenser) error {
	s.List = &HTTPJSONList{}
	if !d.NextArg() {
		return d.Errf("list needs a URL")
	}
	s.List.URL = d.Val()
	return block(d, "list", map[string]func(string) error{
		"items":      func(string) error { return value(d, &s.List.Items) },
		"first_page": func(string) error { return number(d, &s.List.FirstPage) },
		"max_pages":  func(string) error { return count(d, &s.List.MaxPages) },
		"next": func(string) error {
			args := d.RemainingArgs()
			switch {
			case len(args) == 1:
				s.List.Next = args[0]
			case len(args) == 3 && args[1] == "parameter":
				s.List.Next, s.List.NextParameter = args[0], args[2]
			default:
				return d.Errf("next takes a JSON pointer, and parameter NAME if it points to a token")
			}
			return nil
		},
	})
}

func (s *HTTPJSONSource) parseMap(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("map takes a field, and where it is: a JSON pointer such as /device/status, or an expression over doc")
	}
	f := HTTPJSONField{Name: args[0], From: args[1]}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		if !d.NextArg() {
			return d.Errf("map %s: %q needs the word that it means", f.Name, word)
		}
		if f.Values == nil {
			f.Values = map[string]string{}
		}
		if f.Values[word] != "" {
			return d.Errf("map %s: %q is given twice", f.Name, word)
		}
		f.Values[word] = d.Val()
		err := nothingMore(d)
		if err != nil {
			return err
		}
	}
	s.Map = append(s.Map, f)
	return nil
}

// number reads a number that may be zero.
func number(d *caddyfile.Dispenser, to *int) error {
	var v string
	word := d.Val()
	err := value(d, &v)
	if err != nil {
		return err
	}
	*to, err = strconv.Atoi(v)
	if err != nil || *to < 0 {
		return d.Errf("%s takes a number, not %q", word, v)
	}
	return nil
}

// laterOf stands for placeholders whose values are not known before the load.
func laterOf(v string) (string, error) {
	if isPlaceholder(v) {
		return placeholderURL, nil
	}
	return placeholders.ReplaceAllString(v, "placeholder"), nil
}

const placeholderURL = "https://placeholder.invalid/"

// secretName tells header fields that carry a secret.
var secretName = regexp.MustCompile(`(?i)key|token|secret|auth|passw|cookie`)

var placeholders = regexp.MustCompile(`\{(env|file)\.[^{}]*\}`)

// templated replaces {env.*} and {file.*} in a URL and leaves its own words, such
// as {id}, alone.
func templated(v string) (string, error) {
	var failed error
	out := placeholders.ReplaceAllStringFunc(v, func(p string) string {
		value, err := resolveErr(p)
		failed = errors.Join(failed, err)
		return value
	})
	return out, failed
}

// secret has a secret resolved now, or its file read whenever it is needed.
func secret(to map[*string]string, placeholder string, now, file *string) {
	path, ok := fileOf(placeholder)
	if ok {
		*file = path
	} else {
		to[now] = placeholder
	}
}

// options are the source's, with placeholders replaced by resolve.
func (s *HTTPJSONSource) options(resolve func(string) (string, error)) (httpjson.Options, error) {
	o := httpjson.Options{
		Name: s.Name, Item: s.Item, Kinds: s.Kinds, NotFound: s.NotFound, Username: s.Username, Timeout: time.Duration(s.Timeout),
	}
	err := s.checkPortal()
	if err != nil {
		return o, err
	}
	for _, v := range []string{s.Bearer, s.Password} {
		if v != "" && !isPlaceholder(v) {
			return o, errors.New("a secret " + readable)
		}
	}
	to := map[*string]string{&o.URL: s.URL}
	secret(to, s.Bearer, &o.Bearer, &o.BearerFile)
	secret(to, s.Password, &o.Password, &o.PasswordFile)
	if l := s.List; l != nil {
		o.Items, o.FirstPage, o.Next, o.NextParameter, o.MaxPages = l.Items, l.FirstPage, l.Next, l.NextParameter, l.MaxPages
		to[&o.ListURL] = l.URL
	}
	if c := s.ClientCredentials; c != nil {
		if !isPlaceholder(c.ClientSecret) {
			return o, errors.New("a secret " + readable)
		}
		o.ClientCredentials = &httpjson.ClientCredentials{Scope: c.Scope}
		to[&o.ClientCredentials.TokenURL], to[&o.ClientCredentials.ClientID] = c.TokenURL, c.ClientID
		secret(to, c.ClientSecret, &o.ClientCredentials.ClientSecret, &o.ClientCredentials.SecretFile)
	}
	for to, from := range to {
		v, err := resolve(from)
		if err != nil {
			return o, err
		}
		*to = v
	}
	if o.URL == placeholderURL {
		o.URL += "{id}"
	}
	for name, v := range s.Header {
		if secretName.MatchString(name) && !isPlaceholder(v) {
			return o, fmt.Errorf("header %s %s", name, readable)
		}
		v, err := resolve(v)
		if err != nil {
			return o, fmt.Errorf("header %s: %w", name, err)
		}
		if o.Header == nil {
			o.Header = map[string]string{}
		}
		o.Header[name] = v
	}
	for _, f := range s.Map {
		field := httpjson.Field{Name: f.Name, Values: f.Values}
		if strings.HasPrefix(f.From, "/") {
			field.Pointer = f.From
		} else {
			field.Expression = f.From
		}
		o.Map = append(o.Map, field)
	}
	err = s.check()
	if err == nil && s.Name == "" {
		err = errors.New("it needs a name")
	}
	if err == nil {
		err = checkPoll(s.Poll, time.Second)
	}
	if err == nil {
		err = checkHTTPJSON(o)
	}
	return o, err
}

// checkPortal refuses a portal that no page would name: a system is taken for the
// manager of a device only if it says that the device is managed, or by what channel.
func (s *HTTPJSONSource) checkPortal() error {
	err := s.Portal.check()
	if err != nil || s.Portal == nil {
		return err
	}
	if !slices.ContainsFunc(s.Map, func(f HTTPJSONField) bool { return f.Name == "managed" || f.Name == "channel" }) {
		return errors.New("portal: no page would name it, because nothing says that this system manages its devices: " +
			"add `map managed true`, or map managed to where the service tells it")
	}
	return nil
}

// checkHTTPJSON makes the source and lets it go: it alone knows what is wrong.
func checkHTTPJSON(o httpjson.Options) error {
	src, err := httpjson.New(o)
	if err == nil {
		src.Close()
	}
	return err
}

// SourceName is the configured name.
func (s *HTTPJSONSource) SourceName() string { return s.Name }

// NewSource makes the source. Nothing is asked yet.
func (s *HTTPJSONSource) NewSource(caddy.Context) (source.Source, source.RunnerOptions, error) {
	r := source.RunnerOptions{Remote: true, Authoritative: !s.Supplementary, Authority: decision.AuthorityManagement, Poll: httpjsonPoll, Guards: s.limits()}
	if s.Poll > 0 {
		r.Poll = time.Duration(s.Poll)
	}
	o, err := s.options(templated)
	if err != nil {
		return nil, r, err
	}
	o.RootCAs, err = rootsOf(s.CAFile)
	if err != nil {
		return nil, r, err
	}
	src, err := httpjson.New(o)
	return src, r, err
}

var (
	_ caddyfile.Unmarshaler = (*HTTPJSONSource)(nil)
	_ SourcePlacer          = (*HTTPJSONSource)(nil)
)
