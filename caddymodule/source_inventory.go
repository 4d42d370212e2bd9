package caddymodule

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/inventory"
)

func init() {
	caddy.RegisterModule((*InventorySource)(nil))
}

// InventorySource reads devices from a local file: the CSV export of the Intune
// admin centre, a plain CSV, or JSON. The file is watched; a new version takes
// effect within a second, and a broken one never replaces a good one.
type InventorySource struct {
	// Name labels the source in logs and metrics. Default: inventory.
	Name string `json:"name,omitempty"`
	// Path of the file.
	Path string `json:"path"`
	// Format is intune_csv, csv or json. Default: by content.
	Format string `json:"format,omitempty"`
	// MaxFileAge is how old the file may be and still count as confirmed;
	// default 26 h.
	MaxFileAge caddy.Duration `json:"max_file_age,omitempty"`
	// CheckInterval is how often the file is looked at; default 1 s.
	CheckInterval caddy.Duration `json:"check_interval,omitempty"`
	// Guards hold back changes that look like an accident.
	Guards *Guards `json:"guards,omitempty"`

	Place string `json:"place,omitempty"`
}

// Guards are the limits beyond which a new version of a source is held. A share
// and a count must both be exceeded. Zero values take the defaults.
type Guards struct {
	Off         bool    `json:"off,omitempty"`
	BadShare    float64 `json:"bad_share,omitempty"`    // per cent of bad rows; default 1
	BadRows     int     `json:"bad_rows,omitempty"`     // default 5
	ChangeShare float64 `json:"change_share,omitempty"` // percentage points flipped or gone; default 20
	Changes     int     `json:"changes,omitempty"`      // default 20
}

// CaddyModule returns the module's registration.
func (*InventorySource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "compliance.sources.inventory", New: func() caddy.Module { return new(InventorySource) }}
}

// UnmarshalCaddyfile reads
//
//	source inventory PATH {
//	    name NAME
//	    format intune_csv|csv|json
//	    max_file_age 26h
//	    check_interval 1s
//	    guards off
//	    guard_bad_rows 1% 5
//	    guard_changes 20% 20
//	}
func (s *InventorySource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.NextArg() || d.Val() == "" {
		return d.Errf("source inventory needs the path of a file")
	}
	s.Path = d.Val()
	checked := func(read func() error) func(string) error {
		return func(string) error {
			err := read()
			if err != nil {
				return err
			}
			err = s.check()
			if err != nil {
				return d.Err(err.Error())
			}
			return nil
		}
	}
	return block(d, "source inventory", map[string]func(string) error{
		"name":           checked(func() error { return value(d, &s.Name) }),
		"format":         func(string) error { return choice(d, &s.Format, "intune_csv", "csv", "json") },
		"max_file_age":   func(string) error { return duration(d, &s.MaxFileAge) },
		"check_interval": checked(func() error { return duration(d, &s.CheckInterval) }),
		"guards": func(string) error {
			var v string
			s.guards().Off = true
			return choice(d, &v, "off")
		},
		"guard_bad_rows": func(string) error { return shareAndCount(d, &s.guards().BadShare, &s.guards().BadRows) },
		"guard_changes":  func(string) error { return shareAndCount(d, &s.guards().ChangeShare, &s.guards().Changes) },
	})
}

func (s *InventorySource) guards() *Guards {
	if s.Guards == nil {
		s.Guards = &Guards{}
	}
	return s.Guards
}

// shareAndCount reads two words such as 12.5% 20.
func shareAndCount(d *caddyfile.Dispenser, share *float64, n *int) error {
	word := d.Val()
	args := d.RemainingArgs()
	if len(args) == 2 {
		percent, ok := strings.CutSuffix(args[0], "%")
		v, err := strconv.ParseFloat(percent, 64)
		c, err2 := strconv.Atoi(args[1])
		if ok && err == nil && err2 == nil && v > 0 && v <= 100 && c > 0 {
			*share, *n = v, c
			return nil
		}
	}
	return d.Errf("%s takes a share and a count, such as 20%% 20", word)
}

// minCheckInterval keeps a slip of the unit from reading the file all the time.
const minCheckInterval = 100 * time.Millisecond

// check finds what is wrong by itself, in a Caddyfile or in JSON.
func (s *InventorySource) check() error {
	if len(s.Name) > 64 || strings.ContainsFunc(s.Name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.", r)
	}) {
		return fmt.Errorf("bad source name %.64q: letters, digits, _, - and . only", s.Name)
	}
	if s.CheckInterval != 0 && time.Duration(s.CheckInterval) < minCheckInterval {
		return fmt.Errorf("check_interval is below %s", minCheckInterval)
	}
	g := s.Guards
	if g != nil && (g.BadShare < 0 || g.BadShare > 100 || g.ChangeShare < 0 || g.ChangeShare > 100 || g.BadRows < 0 || g.Changes < 0) {
		return errors.New("guards: a share is between 0 and 100 per cent, a count is not negative")
	}
	return nil
}

// SetPlace implements [SourcePlacer].
func (s *InventorySource) SetPlace(place string) { s.Place = place }

// SourcePath implements [SourceFile].
func (s *InventorySource) SourcePath() string { return s.Path }

// SourceName is the configured name.
func (s *InventorySource) SourceName() string {
	if s.Name == "" {
		return "inventory"
	}
	return s.Name
}

// NewSource opens the file's reader. It does not read the file yet.
func (s *InventorySource) NewSource(caddy.Context) (source.Source, source.RunnerOptions, error) {
	path, err := resolveErr(s.Path)
	if err == nil {
		err = s.check()
	}
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, source.RunnerOptions{}, err
	}
	src, err := inventory.New(inventory.Options{
		Path: path, Format: s.Format,
		MaxFileAge: time.Duration(s.MaxFileAge), CheckInterval: time.Duration(s.CheckInterval),
	})
	o := source.RunnerOptions{Authoritative: true, Authority: decision.AuthorityFile, Poll: time.Second}
	if s.CheckInterval > 0 {
		o.Poll = time.Duration(s.CheckInterval)
	}
	if g := s.Guards; g != nil {
		o.Guards = source.Guards{
			Off: g.Off, BadShare: g.BadShare / 100, BadCount: g.BadRows,
			GoodNewsShare: g.ChangeShare / 100, RemovalShare: g.ChangeShare / 100, MinDevices: g.Changes,
		}
	}
	return src, o, err
}

var (
	_ caddyfile.Unmarshaler = (*InventorySource)(nil)
	_ SourcePlacer          = (*InventorySource)(nil)
	_ SourceFile            = (*InventorySource)(nil)
)
