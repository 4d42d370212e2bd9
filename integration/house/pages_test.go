package house

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages lists every text of the repository for people, by its path in it.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(repository), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != "." || d.Name() == "node_modules" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(p, ".md") {
			all = append(all, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found only the pages %q", all)
	}
	return all
}

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	spans   = regexp.MustCompile("`[^`\n]*`")
	links   = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	slugged = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the headings of a page as links name them: small letters, hyphens for
// blanks, without punctuation (GitHub and GitLab do it alike).
func anchors(text string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.ReplaceAll(slugged.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

// targets are the links of a page that stay in the repository.
func targets(text string) []string {
	text = spans.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")
	var all []string
	for _, m := range links.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], "://") && !strings.HasPrefix(m[1], "mailto:") {
			all = append(all, m[1])
		}
	}
	return all
}

// TestLinks: every link between the pages leads to a file, and to a heading in it.
func TestLinks(t *testing.T) {
	for _, from := range pages(t) {
		for _, target := range targets(page(t, from)) {
			name, anchor, hasAnchor := strings.Cut(target, "#")
			to := from
			if name != "" {
				to = path.Join(path.Dir(from), name)
			}
			if _, err := os.Stat(filepath.Join(repository, to)); err != nil || strings.HasPrefix(to, "..") {
				t.Errorf("%s links to %s, which is not there", from, target)
				continue
			}
			if hasAnchor && !slices.Contains(anchors(page(t, to)), anchor) {
				t.Errorf("%s links to %s: no such heading", from, target)
			}
		}
	}
}

// TestEveryPageIsReachable: from README, in any number of steps.
func TestEveryPageIsReachable(t *testing.T) {
	all := pages(t)
	seen := map[string]bool{"README.md": true}
	for queue := []string{"README.md"}; len(queue) > 0; queue = queue[1:] {
		for _, target := range targets(page(t, queue[0])) {
			name, _, _ := strings.Cut(target, "#")
			to := path.Join(path.Dir(queue[0]), name)
			if slices.Contains(all, to) && !seen[to] {
				seen[to] = true
				queue = append(queue, to)
			}
		}
	}
	// Found by their names, or beside what they describe.
	alone := []string{"SECURITY.md", "CHANGELOG.md", "decision/testdata/vectors/README.md", "examples/files/README.md"}
	for _, p := range all {
		if !seen[p] && !slices.Contains(alone, p) {
			t.Errorf("no link leads from README to %s", p)
		}
	}
}

// TestLinkReader: what the tests above count as a link and as a heading.
func TestLinkReader(t *testing.T) {
	const text = "# The option `compliance`\n```\n# no heading [x](y)\n```\n[a](b.md#c) `[d](e)` [f](https://x.example/) [g](#h)\n## 1. Who & what: it's here\n"
	if got, want := anchors(text), []string{"the-option-compliance", "1-who--what-its-here"}; !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
	if got, want := targets(text), []string{"b.md#c", "#h"}; !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
}
