package vectors

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Load reads every *.yaml file of a directory, in the order of their names.
// Unknown keys, contradictions and names that are used twice are errors that
// name the file and the line.
func Load(dir string) ([]Vector, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no vectors in %s", dir)
	}
	var all []Vector
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		vs, err := parse(filepath.Base(f), text)
		if err != nil {
			return nil, err
		}
		all = append(all, vs...)
	}
	return all, unique(all)
}

// parse reads one file.
func parse(name string, text []byte) ([]Vector, error) {
	var nodes []yaml.Node
	if err := yaml.Unmarshal(text, &nodes); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var vs []Vector
	if err := dec.Decode(&vs); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i := range vs {
		vs[i].File, vs[i].Line = name, nodes[i].Line
		if err := vs[i].check(); err != nil {
			return nil, fmt.Errorf("%s:%d: %q: %w", name, vs[i].Line, vs[i].Name, err)
		}
	}
	return vs, nil
}

// unique checks what all vectors share: one inventory file holds all devices,
// serial numbers and accounts.
func unique(vs []Vector) error {
	names, serials, accounts := map[string]bool{}, map[string]bool{}, map[string]int{}
	for i := range vs {
		v := &vs[i]
		if names[v.Name] {
			return fmt.Errorf("%s:%d: name %q is used twice", v.File, v.Line, v.Name)
		}
		names[v.Name] = true
		if v.Inventory != nil && v.Inventory.Serial != "" {
			if serials[v.Inventory.Serial] {
				return fmt.Errorf("%s:%d: serial %q is used twice", v.File, v.Line, v.Inventory.Serial)
			}
			serials[v.Inventory.Serial] = true
		}
		if v.User != nil && v.User.Name != "" {
			accounts[strings.ToLower(v.User.Name)]++
		}
	}
	for i := range vs {
		v := &vs[i]
		if (v.Account != nil || v.Revoked == "user") && accounts[strings.ToLower(v.User.Name)] > 1 {
			return fmt.Errorf("%s:%d: user %q has an account or is revoked here and asks in another vector too", v.File, v.Line, v.User.Name)
		}
	}
	return nil
}
