package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// offline is the compliance app of a configuration, provisioned in this process
// and never started: no listener, no background work, no write outside a
// temporary directory.
type offline struct {
	app *App
	dir string
}

// openOffline provisions the app. Notes about what cannot be known offline go to
// warn.
func openOffline(file, adapter string, warn io.Writer) (*offline, error) {
	config, err := readConfig(file, adapter, warn)
	if err != nil {
		return nil, err
	}
	o, raw, err := newOffline(config)
	if err != nil {
		return nil, err
	}
	err = o.provision(raw)
	if err != nil {
		o.close()
		return nil, err
	}
	for _, s := range o.app.sources {
		if st := s.runner.State(); !st.Loaded() {
			why := firstOf(s.runner.Status().LastError, "it is not a local file")
			fmt.Fprintf(warn, "note: nothing is known offline from source %s (%s); what only it knows is undecided\n", st.Name, policy.Visible(why))
		}
	}
	return o, nil
}

// newOffline makes the temporary directory, and the configuration of an app that
// keeps to it. Whoever calls it calls close.
func newOffline(config []byte) (*offline, json.RawMessage, error) {
	raw, err := appOf(config)
	if err != nil {
		return nil, nil, err
	}
	o := &offline{}
	o.dir, err = os.MkdirTemp("", "gatehouse-offline-")
	if err != nil {
		return nil, nil, err
	}
	raw, err = relocate(raw, o.dir)
	if err != nil {
		o.close()
		return nil, nil, err
	}
	return o, raw, nil
}

func appOf(config []byte) (json.RawMessage, error) {
	var cfg struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	err := json.Unmarshal(config, &cfg)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	raw, ok := cfg.Apps["compliance"]
	if !ok {
		return nil, errors.New("configuration: it has no compliance app; in a Caddyfile that is the global option `compliance { ... }`")
	}
	return raw, nil
}

// relocate moves everything that the app writes into dir, and cuts what it would
// share with a running gateway. Unknown members stay, so that the app's own
// strictness applies.
func relocate(raw json.RawMessage, dir string) (json.RawMessage, error) {
	var app map[string]json.RawMessage
	err := json.Unmarshal(raw, &app)
	if err != nil {
		return nil, fmt.Errorf("configuration of the compliance app: %w", err)
	}
	put := func(name string, v any) {
		// Strings and maps of strings: cannot fail.
		app[name], _ = json.Marshal(v)
	}
	put("state_dir", filepath.Join(dir, "state"))
	put("keys", map[string]string{"dir": filepath.Join(dir, "keys")})
	delete(app, "operator_token") // its placeholder may not resolve here, and nothing asks for it
	var cache map[string]json.RawMessage
	if json.Unmarshal(app["cache"], &cache) == nil && cache["redis"] != nil {
		delete(cache, "redis")
		put("cache", cache)
	}
	return json.Marshal(app)
}

func (o *offline) provision(raw json.RawMessage) error {
	ctx, err := quietContext(caddy.ModuleMap{"compliance": raw})
	if err != nil {
		return err
	}
	mod, err := ctx.AppIfConfigured("compliance")
	if err != nil {
		return err
	}
	o.app = mod.(*App)
	return nil
}

// quietContext provisions apps without an admin endpoint, and without a log: the
// answer is the output, and notes say what a log line would.
func quietContext(apps caddy.ModuleMap) (caddy.Context, error) {
	off := false
	return caddy.ProvisionContext(&caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &off}},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{
			caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "PANIC"}},
		}},
		AppsRaw: apps,
	})
}

func (o *offline) explain(in *ExplainRequest) (*policy.Explanation, error) {
	return o.app.Explain(in, time.Now())
}

func (o *offline) close() {
	if o.app != nil {
		_ = o.app.Cleanup() // the process ends: nothing is left to give back
	}
	_ = os.RemoveAll(o.dir)
}
