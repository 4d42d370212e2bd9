package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

// SourceModule is what a guest of compliance.sources provides. To be used in a
// Caddyfile it is a caddyfile.Unmarshaler, too; [SourcePlacer] and [SourceFile]
// make its messages better.
type SourceModule interface {
	caddy.Module
	// SourceName is the configured name, unique and a metric label.
	SourceName() string
	// NewSource makes the source. It does no remote work. Name, Index, Capacity,
	// Snapshot, Logger and Observer of the options are filled in by the app.
	NewSource(ctx caddy.Context) (source.Source, source.RunnerOptions, error)
}

// SourcePlacer is a [SourceModule] that keeps where it was written. Its JSON form
// must have the place in the member "place", from where the app takes it for
// messages about the source. A change of the place alone is no change of the
// source: its verdicts are kept over a reload.
type SourcePlacer interface {
	SourceModule
	// SetPlace is called once, after UnmarshalCaddyfile, with FILE:LINE.
	SetPlace(place string)
}

// SourceFile is a [SourceModule] that reads a local file. A file of which the first
// read takes nothing is a load error that names it, unless there is a snapshot of
// the last good one to go on from.
type SourceFile interface {
	SourceModule
	// SourcePath is the file as configured.
	SourcePath() string
}

// TenantSource is a [SourceModule] that reads a Microsoft tenant.
type TenantSource interface {
	SourceModule
	// TenantName is the name of the microsoft block; "" is the only one there is.
	TenantName() string
	// SetTenant is called once, before NewSource. The connection is shared.
	SetTenant(t *microsoft.Tenant)
}

// giveTenant connects a source to its tenant, if it reads one. The key names the
// connection: a source whose tenant changed is another source.
func (a *App) giveTenant(sm SourceModule) (t *pooledTenant, key string, err error) {
	ts, ok := sm.(TenantSource)
	if !ok {
		return nil, "", nil
	}
	t, err = a.tenant(ts.TenantName())
	if err != nil {
		return nil, "", err
	}
	ts.SetTenant(t.Tenant)
	return t, t.key, nil
}

// pooledSource is one source with its verdicts.
type pooledSource struct {
	background
	src    source.Source
	o      source.RunnerOptions // of runner
	runner *source.Runner
	lists  bool // all its devices; otherwise it is only asked about single ones
	looks  bool // can be asked about a single device
	remote bool // over the network: what it supplies is known before it answered

	// manager is the system that portal belongs to; unknown if there is no portal.
	manager decision.Manager
	portal  Portal
}

func (a *App) provisionSources(ctx caddy.Context) error {
	raws := make([]json.RawMessage, len(a.SourcesRaw))
	copy(raws, a.SourcesRaw)
	mods, err := ctx.LoadModule(a, "SourcesRaw")
	if err != nil {
		return fmt.Errorf("loading sources: %w", err)
	}
	names := map[string]bool{}
	var tenants []pinTenant
	for i, m := range mods.([]any) {
		sm, ok := m.(SourceModule)
		if !ok {
			return fmt.Errorf("source %d is not a source module", i+1)
		}
		name := sm.SourceName()
		if names[name] {
			return fmt.Errorf("two sources are called %q; give one of them a name", name)
		}
		names[name] = true
		same, err := withoutPlace(raws[i])
		if err != nil {
			return err
		}
		title := name + inBrackets(placeOf(raws[i]))
		t, tenant, err := a.giveTenant(sm)
		if err != nil {
			return fmt.Errorf("source %s: %w", title, err)
		}
		key, err := configKey("source", string(same), caOf(raws[i]), i, a.capacity(), a.shared.dir, tenant, a.root.id())
		if err != nil {
			return err
		}
		s, err := pooled(a, key, func() (*pooledSource, error) { return a.newSource(ctx, sm, i) })
		if err != nil {
			return fmt.Errorf("source %s: %w", title, err)
		}
		a.sources = append(a.sources, s)
		if t != nil {
			tenants = append(tenants, pinTenant{title, t.key, t.Tenant.Tenant(), s.runner.PinsCertificates()})
		}
	}
	return checkPinTenants(tenants)
}

// capacity is the most devices per source.
func (a *App) capacity() int {
	if a.Cache != nil && a.Cache.Capacity > 0 {
		return a.Cache.Capacity
	}
	return 1_000_000
}

func (a *App) newSource(ctx caddy.Context, sm SourceModule, index int) (*pooledSource, error) {
	src, o, err := sm.NewSource(ctx)
	if err != nil {
		return nil, err
	}
	_, syncs := src.(source.Syncer)
	_, looks := src.(source.Looker)
	if !looks && !syncs {
		return nil, errors.New("it can neither list its devices nor look one up")
	}
	keys, err := a.root.derive("snapshot", 32)
	if err != nil {
		return nil, err
	}
	o.Name, o.Index, o.Capacity = sm.SourceName(), index, a.capacity()
	o.Snapshot = &snapshotFile{path: filepath.Join(a.shared.dir, "source-"+safeName(o.Name)+".snapshot"), kind: snapshotSource, keys: keys}
	o.Logger = slog.New(zapslog.NewHandler(a.log.Named("source").Core()))
	o.Observer = a.meters.observe(o.Name)
	runner := source.NewRunner(src, o)
	end := runner.Stop
	if c, ok := src.(interface{ Close() }); ok {
		end = func() { runner.Stop(); c.Close() }
	}
	s := &pooledSource{background: background{begin: runner.Start, end: end}, src: src, o: o, runner: runner, lists: syncs, looks: looks, remote: o.Remote}
	s.manager, s.portal = a.portalOf(sm)
	shared := a.shared // not a: the source outlives this configuration
	s.runner.OnChange(func() { shared.generation.Add(1) })
	err = s.runner.Load(ctx)
	switch f, file := sm.(SourceFile); {
	case err != nil && file:
		// Nobody could be decided about. At a reload the old configuration goes on
		// with what it knows; at a start somebody is looking.
		end()
		return nil, fmt.Errorf("%s: %w; correct the file or its path: there is no snapshot of a last good one", f.SourcePath(), err)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		end()
		return nil, err
	case err != nil:
		// Everything else may run, and decisions that need this source are undecided
		// until it answers.
		a.log.Error("source not loaded: decisions that need it are undecided", zap.String("source", o.Name), zap.Error(err))
	}
	return s, nil
}

// caOf is the content of the authorities' file of a source, if it has one: a new
// file makes a new source.
func caOf(raw json.RawMessage) []byte {
	var v struct {
		CAFile string `json:"ca_file"`
	}
	if json.Unmarshal(raw, &v) != nil || v.CAFile == "" {
		return nil
	}
	ca, err := os.ReadFile(resolve(v.CAFile))
	if err != nil {
		return nil // NewSource says what is wrong with it
	}
	return ca
}

// placeOf is the place in a source's configuration, or "".
func placeOf(raw json.RawMessage) string {
	var v struct {
		Place string `json:"place"`
	}
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	return v.Place
}

// withoutPlace is a source's configuration as it is meant: without the line number,
// because a comment above it in the Caddyfile must not cost its verdicts at a
// reload, and with its placeholders replaced.
func withoutPlace(raw json.RawMessage) ([]byte, error) {
	var v map[string]json.RawMessage
	err := json.Unmarshal(raw, &v)
	if err != nil {
		return nil, err
	}
	delete(v, "place")
	same, err := json.Marshal(v)
	return resolved(same), err
}
