package caddymodule

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// matchSet is one matcher set: all of its matchers must match.
type matchSet map[string]json.RawMessage

// step is one condition on the way to a handler: any of its sets must match.
// epoch counts the rewrites before it: after a rewrite the same words mean
// another request.
type step struct {
	sets  []matchSet
	epoch int
}

// coverRule is one rule of a compliance handler, with the way to it.
type coverRule struct {
	chain []step
	own   step
	rule  *Rule
}

// coverage is how far the rules passed so far check the requests of a chain.
type coverage struct {
	full    bool
	checked bool // by a policy, not only by `off`
	// partial are rules that see these requests, but match only some of them.
	partial []coverRule
}

func cover(rules []coverRule, chain []step) coverage {
	var c coverage
	var applicable []coverRule
	for _, r := range rules {
		if !allImplied(r.chain, chain) {
			continue
		}
		applicable = append(applicable, r)
		if len(r.own.sets) == 0 || implied(r.own, chain) {
			c.full = true
		}
		c.checked = c.checked || r.rule.Policy != ""
	}
	// Several rules may cover the alternatives of one condition together.
	for _, t := range chain {
		c.full = c.full || len(t.sets) > 0 && !slices.ContainsFunc(t.sets, func(s matchSet) bool {
			return slices.ContainsFunc(split(s), func(s matchSet) bool {
				return !slices.ContainsFunc(applicable, func(r coverRule) bool {
					return r.own.epoch == t.epoch && slices.ContainsFunc(r.own.sets, func(w matchSet) bool { return narrower(s, w) })
				})
			})
		})
	}
	if !c.full {
		c.partial = applicable
	}
	return c
}

// ownPaths looks for sites that are gated on some of their paths only, so that
// /.gatehouse/ is answered by whatever else the site does.
func (w *walker) ownPaths(path string) {
	told := map[string]bool{}
	for _, r := range w.rules {
		site := r.chain
		if i := slices.IndexFunc(site, func(s step) bool { return !onlyHosts(s) }); i >= 0 {
			site = site[:i]
		}
		own := append(slices.Clip(site), step{sets: []matchSet{{"path": json.RawMessage(`["` + ownPrefix + `*"]`)}}})
		if slices.ContainsFunc(w.rules, func(other coverRule) bool { return allImplied(other.chain, own) }) {
			continue
		}
		place := w.place(site)
		if told[place] {
			continue
		}
		told[place] = true
		w.add(SeverityWarning, "no_own_paths", place, path,
			ownPrefix+"ready, recheck and jwks.json are not answered here, since compliance stands only inside other blocks",
			"add a line to the site itself, such as `@gatehouse path "+ownPrefix+"*` and `compliance @gatehouse POLICY`")
	}
}

func onlyHosts(s step) bool {
	return len(s.sets) > 0 && !slices.ContainsFunc(s.sets, func(set matchSet) bool { return len(set) != 1 || set["host"] == nil })
}

func allImplied(want, chain []step) bool {
	for _, w := range want {
		if !implied(w, chain) {
			return false
		}
	}
	return true
}

// implied reports whether every request that came down the chain satisfies want.
// It may say no where a proof would be harder; then lint warns once too often.
func implied(want step, chain []step) bool {
	for _, t := range chain {
		if t.epoch == want.epoch && len(t.sets) > 0 && !slices.ContainsFunc(t.sets, func(s matchSet) bool {
			return !slices.ContainsFunc(want.sets, func(w matchSet) bool { return narrower(s, w) })
		}) {
			return true
		}
	}
	// One set may be satisfied by several steps, each giving one matcher.
	return slices.ContainsFunc(want.sets, func(w matchSet) bool {
		for name, value := range w {
			only := matchSet{name: value}
			if !slices.ContainsFunc(chain, func(t step) bool {
				return t.epoch == want.epoch && len(t.sets) > 0 &&
					!slices.ContainsFunc(t.sets, func(s matchSet) bool { return !narrower(s, only) })
			}) {
				return false
			}
		}
		return true
	})
}

// narrower reports whether every request that s matches is matched by w.
func narrower(s, w matchSet) bool {
	for name, want := range w {
		have, ok := s[name]
		if !ok || !narrowerMatcher(name, have, want) {
			return false
		}
	}
	return true
}

// split writes a set with a list of paths as one set per path: together they
// match the same requests.
func split(s matchSet) []matchSet {
	var paths []json.RawMessage
	if json.Unmarshal(s["path"], &paths) != nil || len(paths) < 2 {
		return []matchSet{s}
	}
	sets := make([]matchSet, 0, len(paths))
	for _, p := range paths {
		one := maps.Clone(s)
		one["path"] = json.RawMessage("[" + string(p) + "]")
		sets = append(sets, one)
	}
	return sets
}

func narrowerMatcher(name string, have, want json.RawMessage) bool {
	var h, w any
	if json.Unmarshal(have, &h) != nil || json.Unmarshal(want, &w) != nil {
		return false
	}
	if reflect.DeepEqual(h, w) {
		return true
	}
	if name != "path" && name != "host" && name != "method" {
		return false
	}
	var hs, ws []string
	if json.Unmarshal(have, &hs) != nil || json.Unmarshal(want, &ws) != nil {
		return false
	}
	for _, one := range hs {
		if !slices.ContainsFunc(ws, func(w string) bool {
			prefix, star := strings.CutSuffix(w, "*")
			return strings.EqualFold(one, w) ||
				name == "path" && star && !strings.ContainsAny(prefix, "*%") &&
					strings.HasPrefix(strings.ToLower(one), strings.ToLower(prefix))
		}) {
			return false
		}
	}
	return true
}

// words describes matcher sets as a person would: hosts and paths bare, the
// rest as JSON.
func (t step) words() string {
	var parts []string
	for _, set := range t.sets {
		var words []string
		for _, name := range sortedKeys(set) {
			var list []string
			if json.Unmarshal(set[name], &list) == nil && (name == "host" || name == "path" || name == "method") {
				words = append(words, strings.Join(list, ","))
			} else {
				words = append(words, name+string(set[name]))
			}
		}
		parts = append(parts, strings.Join(words, " "))
	}
	return strings.Join(parts, " or ")
}
