package walkthrough

import (
	"os/exec"
	"strings"
	"testing"
)

func TestShellQuote(t *testing.T) {
	for _, s := range []string{"", "plain", "/tmp/a-b_c.d", "it's a dir", `"`, "$HOME `x` \\ *", "a\nb", "-n"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+ShellQuote(s)).Output()
		if s == "-n" { // printf takes it as a word like any other
			out, err = exec.CommandContext(t.Context(), "sh", "-c", "printf '%s' "+ShellQuote(s)).Output()
		}
		if err != nil || string(out) != s {
			t.Errorf("ShellQuote(%q) = %s: the shell reads %q, %v", s, ShellQuote(s), out, err)
		}
	}
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	err := Print(&b, []string{"Hello:", "  a  b"}, []Scene{Show("200 allow", "it works", Curl("-H", "@/tmp/it's", "http://127.0.0.1:1/"))}, "/opt/my gate")
	want := `# Hello:
#   a  b
# Paste these into another terminal:

# 200 allow: it works
curl -s -w '\n%{http_code}\n' -H '@/tmp/it'\''s' http://127.0.0.1:1/

# Every command, and the whole syntax: '/opt/my gate' help
`
	if err != nil || b.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, b.String(), want)
	}
}
