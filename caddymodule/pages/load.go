package pages

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed templates/*.html templates/*.css
var builtin embed.FS

const (
	layoutFile = "layout.html" // the whole document; includes "main", which the file of each kind defines
	partsFile  = "parts.html"  // what several pages share
	styleFile  = "style.css"
	maxFile    = 256 << 10
)

// source is the text of one template and where it came from, for errors.
type source struct {
	place, text string
}

func fileNames() []string {
	return append([]string{layoutFile, partsFile, styleFile}, files[:]...)
}

// readTemplates reads the built-in files and replaces those that dir holds.
func readTemplates(dir string) (map[string]source, error) {
	sources := make(map[string]source, len(fileNames()))
	for _, name := range fileNames() {
		text, err := builtin.ReadFile("templates/" + name)
		if err != nil {
			return nil, err
		}
		sources[name] = source{place: "built-in " + name, text: string(text)}
	}
	if dir == "" {
		return sources, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("pages directory: %w", err)
	}
	used := 0
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); ext != ".html" && ext != ".css" {
			continue
		}
		if !slices.Contains(fileNames(), name) {
			return nil, fmt.Errorf("pages directory %s: no page is called %s; known are %s", dir, name, strings.Join(fileNames(), ", "))
		}
		place := filepath.Join(dir, name)
		text, err := readFile(place)
		if err != nil {
			return nil, fmt.Errorf("page template %s: %w", place, err)
		}
		sources[name] = source{place: place, text: text}
		used++
	}
	if used == 0 {
		return nil, fmt.Errorf("pages directory %s holds none of %s", dir, strings.Join(fileNames(), ", "))
	}
	return sources, nil
}

// readFile reads a regular file of at most 256 KiB. It follows symbolic links,
// as mounted configuration directories need.
func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxFile {
		return "", errors.New("larger than 256 KiB")
	}
	return string(text), nil
}

// parse builds one template set per kind.
func (p *Pages) parse(sources map[string]source) error {
	if s := sources[styleFile]; strings.Contains(strings.ToLower(s.text), "</style") {
		return fmt.Errorf("page style %s: contains </style", s.place)
	}
	for kind, name := range files {
		set := template.New(layoutFile)
		for _, file := range []string{layoutFile, partsFile, name} {
			t := set
			if file != layoutFile {
				t = set.New(file)
			}
			if _, err := t.Parse(sources[file].text); err != nil {
				return fmt.Errorf("page template %s: %w", sources[file].place, err)
			}
		}
		if set.Lookup("main") == nil {
			return fmt.Errorf("page template %s: does not define \"main\"", sources[name].place)
		}
		p.kinds[kind], p.places[kind] = set, sources[name].place
	}
	return nil
}

// CheckSupportURL reports what is wrong with a support link, without making pages.
func CheckSupportURL(raw string) error { return new(Pages).setSupport(raw) }

// setSupport checks the support link once, so that the pages can trust it.
func (p *Pages) setSupport(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL {
		return errors.New("support link is not a URL")
	}
	switch u.Scheme {
	case "https", "http":
		if u.Host == "" || u.User != nil {
			return fmt.Errorf("support link %q needs a host and no user", u.Redacted())
		}
	case "mailto", "tel":
		if u.Opaque == "" {
			return fmt.Errorf("support link %q has no address", raw)
		}
		p.mail = u.Scheme == "mailto" && u.RawQuery == ""
	default:
		return fmt.Errorf("support link %q must be https, http, mailto or tel", u.Redacted())
	}
	p.supportURL = u.String()
	return nil
}

// support returns the support link; a mail gets the incident as its subject.
// The type tells html/template that the scheme has been checked: it would
// refuse tel. It still escapes the value for the attribute.
func (p *Pages) support(id string, l *Labels) template.URL {
	if p.mail && id != "" {
		return template.URL(p.supportURL + "?subject=" + strings.ReplaceAll(url.QueryEscape(l.Incident+" "+id), "+", "%20"))
	}
	return template.URL(p.supportURL)
}
