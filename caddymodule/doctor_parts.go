package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// part is a source by itself, of a configuration that does not load as a whole.
type part struct {
	src source.Source
	err error
}

// takeApart makes each tenant and source by itself, so that one that is wrong does
// not hide what is to say about the others. Nothing is asked yet.
func (d *doctor) takeApart() error {
	ctx, err := quietContext(nil)
	if err != nil {
		return err
	}
	d.bare = &App{}
	d.bare.meters, d.bare.log = processMeters(), zap.NewNop()
	d.tenants, d.refused = map[string]*pooledTenant{}, map[string]error{}
	d.bare.Microsoft, d.bare.tenants = d.written.Microsoft, d.tenants
	for _, m := range d.written.Microsoft {
		t, err := d.bare.connect(m)
		if err != nil {
			d.refused[m.name()] = err
			continue
		}
		d.tenants[m.name()] = t
	}
	d.parts = make([]part, len(d.sources))
	for i, raw := range d.sources {
		d.parts[i].src, d.parts[i].err = d.makeSource(ctx, raw)
	}
	return nil
}

func (d *doctor) makeSource(ctx caddy.Context, raw json.RawMessage) (source.Source, error) {
	var form map[string]json.RawMessage
	var kind string
	err := json.Unmarshal(raw, &form)
	if err == nil {
		err = json.Unmarshal(form["source"], &kind)
	}
	if err != nil {
		return nil, errors.New("the form of the source cannot be read")
	}
	delete(form, "source") // as Caddy does for the module itself
	raw, err = json.Marshal(form)
	if err != nil {
		return nil, err
	}
	mod, err := ctx.LoadModuleByID("compliance.sources."+kind, raw)
	if err != nil {
		return nil, err
	}
	sm, ok := mod.(SourceModule)
	if !ok {
		return nil, fmt.Errorf("%s is not a source module", kind)
	}
	if ts, ok := sm.(TenantSource); ok {
		name := ts.TenantName()
		if name == "" && len(d.refused) == 1 && len(d.tenants) == 0 {
			return nil, errors.New("the tenant that it reads cannot be used; see there")
		}
		t, err := d.bare.tenant(name)
		if err != nil {
			return nil, err
		}
		ts.SetTenant(t.Tenant)
	}
	src, _, err := sm.NewSource(ctx)
	return src, err
}
