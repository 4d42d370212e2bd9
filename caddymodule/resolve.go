package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// resolve replaces {env.*} and {file.*} in a configured value; "" if it cannot.
// Use resolveErr where an empty value must not pass.
func resolve(s string) string {
	v, err := resolveErr(s)
	if err != nil {
		return ""
	}
	return v
}

func resolveErr(s string) (string, error) {
	if !strings.Contains(s, "{") {
		return s, nil
	}
	return caddy.NewReplacer().ReplaceOrErr(s, true, true)
}

// resolved replaces placeholders in a piece of configuration, for telling whether
// it means the same as before. What cannot be resolved stays as it is.
func resolved(raw []byte) []byte {
	return []byte(caddy.NewReplacer().ReplaceKnown(string(raw), ""))
}

// isPlaceholder reports whether s is one placeholder of the environment or a file.
func isPlaceholder(s string) bool {
	return (strings.HasPrefix(s, "{env.") || strings.HasPrefix(s, "{file.")) && strings.HasSuffix(s, "}") && strings.Count(s, "{") == 1
}

// inBrackets prints the place of a part of the configuration after its name, or
// nothing: JSON has no places.
func inBrackets(place string) string {
	if place == "" {
		return ""
	}
	return " (" + place + ")"
}

// readable is why a secret is a placeholder: the admin endpoint shows the running
// configuration to everybody who reaches it.
const readable = "would be readable in the running configuration; write {env.NAME} or {file./path} instead"
