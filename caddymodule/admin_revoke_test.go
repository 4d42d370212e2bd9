package caddymodule

import "testing"

// TestDeviceKind: what no request can lead to is refused when it is revoked, so
// that a slip of the kind does not look like a lock.
func TestDeviceKind(t *testing.T) {
	shows := &App{
		Issuers:           []*Issuer{{DeviceKind: "entra"}, {}},
		ClientCertificate: &ClientCertificate{DeviceID: [][]string{{"serial", "serial_number"}, {"asset", "subject_cn"}}},
	}
	linked := &App{Issuers: []*Issuer{{DeviceKind: "asset"}}}
	linked.sources = make([]*pooledSource, 1)
	tests := []struct {
		name string
		app  *App
		kind string
		want bool
	}{
		{"claim of a token", shows, "entra", true},
		{"field of a certificate", shows, "serial", true},
		{"kind of the operator's", shows, "asset", true},
		{"nobody shows or links it", shows, "intune", false},
		{"a source may link it", linked, "intune", true},
		{"a source may link it, too", linked, "serial", true},
		{"shown beside a source", linked, "asset", true},
		{"misspelt", linked, "serail", false},
		{"empty", linked, "", false},
		{"no credential at all", &App{}, "entra", false},
	}
	for _, tc := range tests {
		if got := tc.app.deviceKind(tc.kind); got != tc.want {
			t.Errorf("%s: kind %q: got %v", tc.name, tc.kind, got)
		}
	}
}
