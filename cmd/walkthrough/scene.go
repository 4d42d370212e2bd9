package walkthrough

import (
	"fmt"
	"io"
	"strings"
)

// Scene is one command to paste and what it shows.
type Scene struct {
	// Want begins with the HTTP status that the command prints last, and may name
	// the outcome of the decision behind it; or it is "exit" and an exit status. A
	// test runs every scene and compares.
	Want string
	// About says in a line what the command shows.
	About string
	// Command is for a POSIX shell.
	Command string
}

// Show makes a scene.
func Show(want, about, command string) Scene {
	return Scene{Want: want, About: about, Command: command}
}

// Last begins the line behind the scenes: a reader of the text knows by it that
// everything was printed.
const Last = "# Every command"

// Print writes the text: head lines, the scenes, and how to call the gateway.
// Everything but the commands is a comment, so the whole of it is safe to paste.
func Print(w io.Writer, head []string, scenes []Scene, gateway string) error {
	var b strings.Builder
	for _, line := range head {
		b.WriteString("# " + line + "\n")
	}
	b.WriteString("# Paste these into another terminal:\n")
	for _, s := range scenes {
		fmt.Fprintf(&b, "\n# %s: %s\n%s\n", s.Want, s.About, s.Command)
	}
	b.WriteString("\n" + Last + ", and the whole syntax: " + ShellQuote(gateway) + " help\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Curl is a command that prints the body and then the status on a line of its own.
// Each of args becomes one word of the shell.
func Curl(args ...string) string {
	line := `curl -s -w '\n%{http_code}\n'`
	for _, a := range args {
		line += " " + ShellQuote(a)
	}
	return line
}

// ShellQuote makes one word of s for a POSIX shell.
func ShellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:=@%+", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// CaddyQuote makes one word of s for a Caddyfile.
func CaddyQuote(s string) string {
	switch {
	case !strings.ContainsAny(s, " \t\"`#"):
		return s
	case !strings.Contains(s, "`"):
		return "`" + s + "`"
	}
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}
