package caddymodule

import "testing"

// TestRootSecretID: what is sealed with the root secret is made anew when another
// secret seals, so that an old one can be dropped later.
func TestRootSecretID(t *testing.T) {
	a, b := rootEntry{Secret: []byte("0123456789abcdef0123456789abcdef")}, rootEntry{Secret: []byte("fedcba9876543210fedcba9876543210")}
	ids := map[string]string{}
	for name, r := range map[string]rootSecret{
		"a": {Secrets: []rootEntry{a}}, "b": {Secrets: []rootEntry{b}}, "a, b": {Secrets: []rootEntry{a, b}}, "b, a": {Secrets: []rootEntry{b, a}},
	} {
		id := r.id()
		if other, ok := ids[id]; ok {
			t.Errorf("%s and %s have the same id", name, other)
		}
		ids[id] = name
		if id != r.id() {
			t.Errorf("%s: the id changes", name)
		}
	}
}
