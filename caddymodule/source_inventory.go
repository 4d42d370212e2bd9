package caddymodule

import (
	"fmt"
	"path/filepath"
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
	guest
	// Path of the file.
	Path string `json:"path"`
	// Format is intune_csv, csv or json. Default: by content.
	Format string `json:"format,omitempty"`
	// MaxFileAge is how old the file may be and still count as confirmed;
	// default 26 h.
	MaxFileAge caddy.Duration `json:"max_file_age,omitempty"`
	// CheckInterval is how often the file is looked at; default 1 s.
	CheckInterval caddy.Duration `json:"check_interval,omitempty"`
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
	words := s.words(d)
	words["format"] = func(string) error { return choice(d, &s.Format, "intune_csv", "csv", "json") }
	words["max_file_age"] = func(string) error { return duration(d, &s.MaxFileAge) }
	words["check_interval"] = func(string) error {
		err := duration(d, &s.CheckInterval)
		if err != nil {
			return err
		}
		err = s.check()
		if err != nil {
			return d.Err(err.Error())
		}
		return nil
	}
	return block(d, "source inventory", words)
}

// minCheckInterval keeps a slip of the unit from reading the file all the time.
const minCheckInterval = 100 * time.Millisecond

// check finds what is wrong by itself, in a Caddyfile or in JSON.
func (s *InventorySource) check() error {
	if s.CheckInterval != 0 && time.Duration(s.CheckInterval) < minCheckInterval {
		return fmt.Errorf("check_interval is below %s", minCheckInterval)
	}
	return s.guest.check()
}

// SourcePath implements [SourceFile].
func (s *InventorySource) SourcePath() string { return s.Path }

// SourceName is the configured name.
func (s *InventorySource) SourceName() string { return s.nameOr("inventory") }

// NewSource opens the file's reader. It does not read the file yet.
func (s *InventorySource) NewSource(ctx caddy.Context) (source.Source, source.RunnerOptions, error) {
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
		Logger: sourceLogger(ctx).With("source", s.SourceName()),
	})
	o := source.RunnerOptions{Authoritative: true, Authority: decision.AuthorityFile, Poll: time.Second, Guards: s.limits()}
	if s.CheckInterval > 0 {
		o.Poll = time.Duration(s.CheckInterval)
	}
	return src, o, err
}

var (
	_ caddyfile.Unmarshaler = (*InventorySource)(nil)
	_ SourcePlacer          = (*InventorySource)(nil)
	_ SourceFile            = (*InventorySource)(nil)
)
