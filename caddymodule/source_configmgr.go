package caddymodule

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/configmgr"
)

func init() {
	caddy.RegisterModule((*ConfigMgrSource)(nil))
}

// ConfigMgrSource reads the AdminService of a Configuration Manager site.
type ConfigMgrSource struct {
	guest
	// URL of the AdminService, such as https://cm01.corp.example/AdminService.
	URL string `json:"url"`
	// CAFile holds the authority of the site's certificate, PEM.
	CAFile string `json:"ca_file,omitempty"`

	// Kerberos signs in with a keytab, as domain members do.
	Kerberos *Kerberos `json:"kerberos,omitempty"`
	// BearerFile holds a token, for a site behind a cloud management gateway.
	BearerFile string `json:"bearer_file,omitempty"`
	// Username and Password (one placeholder) are for a lab, or a proxy in front.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`

	// Updates are the updates that count, as article or CI ids; default: all.
	Updates []int `json:"updates,omitempty"`
	// NoUpdates leaves updates to somebody else.
	NoUpdates bool `json:"no_updates,omitempty"`
	// SignatureAge is how old antivirus signatures may be; default 7 d.
	SignatureAge caddy.Duration `json:"signature_age,omitempty"`
	// Poll is the time between two reads of the site; default 10 min.
	Poll caddy.Duration `json:"poll,omitempty"`
}

// Kerberos is an account of the domain.
type Kerberos struct {
	// Principal is NAME@REALM.
	Principal string `json:"principal"`
	// Keytab is the file with its key.
	Keytab string `json:"keytab"`
	// Config is a krb5.conf. Default: the domain's DNS names its servers.
	Config string `json:"config,omitempty"`
	// SPN of the service; default HTTP/ and the host of the URL.
	SPN string `json:"spn,omitempty"`
}

const (
	configMgrPoll      = 10 * time.Minute // within max_age of the standard tier
	leastConfigMgrPoll = time.Second      // a site of one's own has no published limit
)

// CaddyModule returns the module's registration.
func (*ConfigMgrSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "compliance.sources.configmgr", New: func() caddy.Module { return new(ConfigMgrSource) }}
}

// UnmarshalCaddyfile reads
//
//	source configmgr URL {
//	    name NAME
//	    ca_file PATH
//	    kerberos PRINCIPAL@REALM KEYTAB {
//	        config /etc/krb5.conf
//	        spn HTTP/cm01.corp.example
//	    }
//	    bearer_file PATH
//	    basic USER {env.PASSWORD}
//	    updates ARTICLE...|off
//	    signature_age 7d
//	    poll 10m
//	    guards off
//	    guard_bad_rows 1% 5
//	    guard_changes 20% 20
//	}
func (s *ConfigMgrSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.NextArg() || d.Val() == "" {
		return d.Errf("source configmgr needs the URL of the AdminService, such as https://cm01.corp.example/AdminService")
	}
	s.URL = d.Val()
	words := s.words(d)
	for word, read := range map[string]func(string) error{
		"ca_file":       func(string) error { return value(d, &s.CAFile) },
		"bearer_file":   func(string) error { return value(d, &s.BearerFile) },
		"signature_age": func(string) error { return duration(d, &s.SignatureAge) },
		"poll":          pollWord(d, &s.Poll, leastConfigMgrPoll),
		"kerberos":      func(string) error { return s.parseKerberos(d) },
		"basic": func(string) error {
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("basic takes a user and a password")
			}
			s.Username, s.Password = args[0], args[1]
			return nil
		},
		"updates": func(string) error {
			var args []string
			err := values(d, &args)
			if err != nil {
				return err
			}
			if len(args) == 1 && args[0] == "off" {
				s.NoUpdates = true
				return nil
			}
			for _, a := range args {
				n, err := strconv.Atoi(strings.TrimPrefix(a, "KB"))
				if err != nil || n <= 0 {
					return d.Errf("updates takes numbers of articles such as 5031356, or off, not %q", a)
				}
				s.Updates = append(s.Updates, n)
			}
			return nil
		},
	} {
		words[word] = read
	}
	err := block(d, "source configmgr", words)
	if err == nil {
		err = s.check()
		if err != nil {
			err = d.Err(err.Error())
		}
	}
	return err
}

func (s *ConfigMgrSource) parseKerberos(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("kerberos takes NAME@REALM and a keytab")
	}
	s.Kerberos = &Kerberos{Principal: args[0], Keytab: args[1]}
	if _, _, ok := strings.Cut(args[0], "@"); !ok {
		return d.Errf("kerberos takes NAME@REALM, not %q", args[0])
	}
	words := map[string]func(string) error{
		"config": func(string) error { return value(d, &s.Kerberos.Config) },
		"spn":    func(string) error { return value(d, &s.Kerberos.SPN) },
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		read, ok := words[d.Val()]
		if !ok {
			return unknown(d, "kerberos", "kerberos", sortedKeys(words))
		}
		err := read(d.Val())
		if err != nil {
			return err
		}
	}
	return nil
}

// check finds what is wrong by itself, in a Caddyfile or in JSON.
func (s *ConfigMgrSource) check() error {
	kinds := 0
	for _, set := range []bool{s.Kerberos != nil, s.BearerFile != "", s.Username != ""} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return errors.New("it needs exactly one of kerberos, bearer_file and basic")
	case s.Password != "" && !isPlaceholder(s.Password):
		return errors.New("a password " + readable)
	}
	err := checkPoll(s.Poll, leastConfigMgrPoll)
	if err != nil {
		return err
	}
	return s.guest.check()
}

// auth resolves the credentials.
func (s *ConfigMgrSource) auth() (a configmgr.Auth, err error) {
	resolved := func(v string) string {
		out, e := resolveErr(v)
		err = errors.Join(err, e)
		return out
	}
	switch {
	case s.Kerberos != nil:
		name, realm, _ := strings.Cut(resolved(s.Kerberos.Principal), "@")
		a.Negotiate = &configmgr.Negotiate{
			Principal: name, Realm: realm, KeytabFile: resolved(s.Kerberos.Keytab), SPN: s.Kerberos.SPN,
			Krb5ConfFile: resolved(s.Kerberos.Config),
		}
	case s.BearerFile != "":
		a.Bearer = &configmgr.Bearer{File: resolved(s.BearerFile)}
	default:
		a.Basic = &configmgr.Basic{Username: resolved(s.Username)}
		if file, ok := fileOf(s.Password); ok {
			a.Basic.PasswordFile = file
		} else {
			a.Basic.Password = resolved(s.Password)
		}
	}
	return a, err
}

// SourceName is the configured name.
func (s *ConfigMgrSource) SourceName() string { return s.nameOr("configmgr") }

// NewSource makes the source. Nothing is asked yet.
func (s *ConfigMgrSource) NewSource(ctx caddy.Context) (source.Source, source.RunnerOptions, error) {
	o := source.RunnerOptions{
		Remote: true, Authoritative: true, Authority: decision.AuthorityConfigMgr, Poll: configMgrPoll, Guards: s.limits(),
		SyncTimeout: 15 * time.Minute,
	}
	if s.Poll > 0 {
		o.Poll = time.Duration(s.Poll)
	}
	err := s.check()
	if err != nil {
		return nil, o, err
	}
	auth, err := s.auth()
	if err != nil {
		return nil, o, err
	}
	url, err := resolveErr(s.URL)
	if err != nil {
		return nil, o, err
	}
	roots, err := rootsOf(s.CAFile)
	if err != nil {
		return nil, o, err
	}
	src, err := configmgr.New(configmgr.Options{
		URL: url, RootCAs: roots, Auth: auth, Updates: s.Updates, NoUpdates: s.NoUpdates,
		SignatureAge: time.Duration(s.SignatureAge), Logger: sourceLogger(ctx),
	})
	return src, o, err
}

var (
	_ caddyfile.Unmarshaler = (*ConfigMgrSource)(nil)
	_ SourcePlacer          = (*ConfigMgrSource)(nil)
)
