package main

import (
	"runtime/debug"
	"testing"
)

func TestOwnVersion(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	clean := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	main := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	tests := []struct {
		name string
		bi   *debug.BuildInfo
		want string
	}{
		{"no build information", nil, "devel"},
		{"nothing known", main("(devel)"), "devel"},
		{"nothing at all", main(""), "devel"},
		{"release", main("v1.2.3", commit), "v1.2.3"},
		{"commit", main("(devel)", commit, clean), "0123456789ab"},
		{"commit, changed since", main("", dirty, commit), "0123456789ab+dirty"},
		{"short commit", main("", debug.BuildSetting{Key: "vcs.revision", Value: "7"}), "7"},
	}
	for _, tc := range tests {
		if got := ownVersion(tc.bi); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
