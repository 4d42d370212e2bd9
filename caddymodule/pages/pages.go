package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Options configure the pages. The zero value is the built-in pages without a
// support contact.
type Options struct {
	// Dir is a directory whose files replace built-in ones of the same name:
	// layout.html, parts.html, style.css, blocked.html, undecided.html,
	// signin.html, request.html. A missing or empty directory, and an .html or
	// .css file with another name, is an error. "" uses the built-in files.
	Dir string
	// SupportName is who helps, such as "IT Service Desk".
	SupportName string
	// SupportURL is how to reach them: an https, http, mailto or tel URL. A
	// mailto URL without a subject gets the incident ID as its subject.
	SupportURL string
}

// Pages renders pages. It is immutable and safe for concurrent use.
type Pages struct {
	kinds       [numKinds]*template.Template
	places      [numKinds]string // where each kind's file came from
	style       template.CSS
	policy      string // the Content-Security-Policy
	supportName string
	supportURL  string
	mail        bool // supportURL takes a subject
}

// New parses the templates and renders every page once in every language, so
// that a broken one is refused at load and not met by a person. Errors name the
// file.
func New(o Options) (*Pages, error) {
	p := &Pages{supportName: decision.DisplayText(o.SupportName)}
	if err := p.setSupport(o.SupportURL); err != nil {
		return nil, err
	}
	sources, err := readTemplates(o.Dir)
	if err != nil {
		return nil, err
	}
	p.style = template.CSS(sources[styleFile].text)
	if err := p.parse(sources); err != nil {
		return nil, err
	}
	hashes, err := p.rehearse()
	if err != nil {
		return nil, err
	}
	p.policy = contentSecurityPolicy(hashes)
	return p, nil
}

// rehearse renders every kind in every language and returns the hashes of all
// styles that it finds.
func (p *Pages) rehearse() ([]string, error) {
	var hashes []string
	for kind := range numKinds {
		for _, lang := range decision.Languages() {
			for _, pg := range []*Page{{Kind: kind, Lang: lang}, sample(kind, lang)} {
				var b bytes.Buffer
				if err := p.Render(&b, pg); err != nil {
					return nil, err
				}
				found, err := styleHashes(b.Bytes())
				if err != nil {
					return nil, fmt.Errorf("page template %s: %w", p.places[kind], err)
				}
				for _, h := range found {
					if !slices.Contains(hashes, h) {
						hashes = append(hashes, h)
					}
				}
			}
		}
	}
	return hashes, nil
}

// sample is a page with every part filled in.
func sample(kind Kind, lang string) *Page {
	pg := &Page{
		Kind: kind, Lang: lang, Platform: decision.Windows, DecisionID: "sample", Device: "sample", User: "sample",
		RetryAfter: 30 * time.Second, RetryPath: "/", Unsent: true, Now: time.Unix(0, 0),
		ManageURL: "https://manage.example/", Management: decision.Management{Manager: decision.ManagerConfigMgr, App: "sample"}, Accepts: Accepts{Issuers: []string{"sample"}, Certificate: true},
	}
	for _, e := range []decision.Effect{
		decision.EffectWarn, decision.EffectStepUp, decision.EffectUndecided, decision.EffectBlock, decision.EffectAuthenticate,
	} {
		pg.Findings = append(pg.Findings,
			decision.Finding{Reason: decision.Noncompliant, Effect: e, Param: "Firewall, Sample setting"},
			decision.Finding{Reason: decision.DeviceDisabled, Effect: e})
	}
	return pg
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Render writes the page as HTML. It writes nothing if the template fails, and
// otherwise everything in one call of w.Write.
func (p *Pages) Render(w io.Writer, pg *Page) error {
	b, err := p.render(pg)
	if err != nil {
		return err
	}
	defer release(b)
	_, err = w.Write(b.Bytes())
	return err
}

func (p *Pages) render(pg *Page) (*bytes.Buffer, error) {
	kind := pg.Kind
	if kind >= numKinds {
		kind = Blocked
	}
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	if err := p.kinds[kind].ExecuteTemplate(b, layoutFile, p.view(pg)); err != nil {
		release(b)
		return nil, fmt.Errorf("page template %s: %w", p.places[kind], err)
	}
	return b, nil
}

// release keeps a buffer for reuse unless one huge page made it huge.
func release(b *bytes.Buffer) {
	if b.Cap() <= 128<<10 {
		buffers.Put(b)
	}
}

// Write answers a request with the page: headers, Content-Language, Retry-After,
// status and body. If the template fails, the person gets the title as plain
// text with the same status, and the error is returned for the log.
func (p *Pages) Write(w http.ResponseWriter, pg *Page) error {
	h := w.Header()
	p.Headers(h)
	h.Set("Content-Language", pg.language())
	if s := Seconds(pg.RetryAfter); s > 0 {
		h.Set("Retry-After", strconv.Itoa(s))
	}
	b, err := p.render(pg)
	if err != nil {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		v := p.view(pg)
		w.WriteHeader(v.Status)
		_, _ = io.WriteString(w, v.Title+"\n"+v.Labels.Incident+": "+v.DecisionID+"\n")
		return err
	}
	defer release(b)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(pg.status())
	_, err = w.Write(b.Bytes())
	return err
}
