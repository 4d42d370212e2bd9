package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// DoctorReport is what `gatehouse doctor` found out.
type DoctorReport struct {
	// State is the worst of all sections.
	State    checkup.State   `json:"state"`
	At       time.Time       `json:"at"`
	Sections []DoctorSection `json:"sections"`
	// Device is the sample device, merged from all sources that have it; nil if
	// none was looked at.
	Device *DeviceView `json:"device,omitempty"`
	// Decisions are what every policy says about it.
	Decisions []DoctorDecision `json:"decisions,omitempty"`
}

// DoctorDecision is what one policy says about the sample device: the part of
// [policy.Explanation] without the facts, which stand with the device.
type DoctorDecision struct {
	Policy       string                        `json:"policy"`
	Mode         string                        `json:"mode"`
	Outcome      string                        `json:"outcome"`
	StepUp       string                        `json:"step_up,omitempty"`
	Reasons      []policy.ExplainedReason      `json:"reasons"`
	Requirements []policy.ExplainedRequirement `json:"requirements"`
}

// DoctorSection is what was found out about one object of the configuration.
type DoctorSection struct {
	// Name is the object as it is written, such as "source intune".
	Name string `json:"name"`
	// Place is where, FILE:LINE; empty if it has none of its own.
	Place    string            `json:"place,omitempty"`
	State    checkup.State     `json:"state"`
	Findings []checkup.Finding `json:"findings"`
}

// doctor examines one configuration. It starts nothing: no listener, no background
// work, and no write outside a temporary directory.
type doctor struct {
	*offline
	config  []byte
	written *App              // the app as configured, not provisioned
	sources []json.RawMessage // of written
	loadErr error
	timeout time.Duration

	tenants map[string]*pooledTenant
	// When the whole does not load, what there is of it by itself.
	bare    *App
	refused map[string]error // tenants
	parts   []part           // sources
}

// The bounds of an examination.
const (
	doctorParallel = 4               // sections at a time
	doctorGrace    = 3 * time.Second // for a section that does not heed its time
)

// openDoctor loads a configuration as far as it goes. What does not load is a
// finding; only a configuration without a compliance app is an error.
func openDoctor(config []byte, timeout time.Duration) (*doctor, error) {
	d := &doctor{config: config, timeout: timeout, written: &App{}}
	asWritten, err := appOf(config)
	if err != nil {
		return nil, err
	}
	err = caddy.StrictUnmarshalJSON(asWritten, d.written)
	if err != nil {
		return nil, fmt.Errorf("configuration of the compliance app: %w", err)
	}
	d.sources = slices.Clone(d.written.SourcesRaw)
	var raw json.RawMessage
	d.offline, raw, err = newOffline(config)
	if err != nil {
		return nil, err
	}
	d.loadErr = d.provision(raw)
	if d.loadErr == nil {
		d.tenants = d.app.tenants
		return d, nil
	}
	err = d.takeApart()
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// close gives back what the examination took.
func (d *doctor) close() {
	for i := range d.parts {
		if c, ok := d.parts[i].src.(interface{ Close() }); ok {
			c.Close()
		}
	}
	if d.bare != nil {
		_ = d.bare.Cleanup() // the process ends: nothing is left to give back
	}
	d.offline.close()
}

// found is the result of one section.
type found struct {
	findings []checkup.Finding
	sample   []decision.Key // ids of one device

	// Of the sample device alone.
	device    *DeviceView
	decisions []DoctorDecision
}

// section is one object to examine.
type section struct {
	name, place string
	examine     func(context.Context) found
}

// answersTo reports whether --only means this section: by its whole name, or by the
// last word of it.
func (s *section) answersTo(name string) bool {
	return s.name == name || s.name[strings.LastIndexByte(s.name, ' ')+1:] == name
}

const sampleSection = "sample device"

// run examines every section, or those called only, and then a sample device.
func (d *doctor) run(ctx context.Context, only []string, device *decision.Key) (*DoctorReport, error) {
	all := d.sections()
	sample := section{name: sampleSection}
	err := choose(&all, only, &sample)
	if err != nil {
		return nil, err
	}
	results := make([]found, len(all))
	var g errgroup.Group
	g.SetLimit(doctorParallel)
	for i := range all {
		g.Go(func() error {
			results[i] = d.bounded(ctx, all[i].examine)
			return nil
		})
	}
	_ = g.Wait() // no function of the group fails
	r := &DoctorReport{At: time.Now().UTC(), Sections: make([]DoctorSection, 0, len(all)+1)}
	keys := sampleOf(results)
	if device != nil {
		keys = []decision.Key{*device}
	}
	if len(only) == 0 || device != nil || slices.ContainsFunc(only, sample.answersTo) {
		got := d.bounded(ctx, func(ctx context.Context) found { return d.sample(ctx, keys, device != nil) })
		r.Device, r.Decisions = got.device, got.decisions
		all, results = append(all, sample), append(results, got)
	}
	for i := range all {
		f := results[i].findings
		if name, ok := strings.CutPrefix(all[i].name, "microsoft"); ok {
			f = append(f, d.headroom(strings.TrimSpace(name))...) // after every call that could have used it up
		}
		s := DoctorSection{Name: all[i].name, Place: all[i].place, State: checkup.Worst(f), Findings: f}
		r.Sections, r.State = append(r.Sections, s), max(r.State, s.State)
	}
	return r, nil
}

// choose keeps the sections that were asked for.
func choose(all *[]section, only []string, more *section) error {
	for _, name := range only {
		if !slices.ContainsFunc(*all, func(s section) bool { return s.answersTo(name) }) && !more.answersTo(name) {
			var names []string
			for i := range *all {
				names = append(names, (*all)[i].name)
			}
			return fmt.Errorf("nothing is called %q; known: %s", name, strings.Join(append(names, more.name), ", "))
		}
	}
	if len(only) > 0 {
		*all = slices.DeleteFunc(*all, func(s section) bool { return !slices.ContainsFunc(only, s.answersTo) })
	}
	return nil
}

// sampleOf picks the device to look at: one with an Entra id, which most sources can
// be asked for, before any other.
func sampleOf(results []found) []decision.Key {
	var keys []decision.Key
	for i := range results {
		for _, k := range results[i].sample {
			if k.Kind == decision.KindEntra {
				return results[i].sample
			}
		}
		if keys == nil {
			keys = results[i].sample
		}
	}
	return keys
}

// bounded runs one examination. It takes no longer than the timeout and a moment,
// whatever the examination does.
func (d *doctor) bounded(ctx context.Context, examine func(context.Context) found) found {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	done := make(chan found, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- failed(fmt.Errorf("the examination broke: %v", p))
			}
		}()
		done <- examine(ctx)
	}()
	late := time.NewTimer(d.timeout + doctorGrace)
	defer late.Stop()
	select {
	case f := <-done:
		if len(f.findings) == 0 {
			f.findings = []checkup.Finding{checkup.Skip(checkup.CheckExamination, "there is nothing to examine")}
		}
		return f
	case <-late.C:
		return failed(errors.New("the examination did not end in time"))
	}
}

func failed(err error) found {
	return found{findings: []checkup.Finding{checkup.Fail(checkup.CheckExamination, err.Error(), "try again with a longer --timeout, and report it if that does not help")}}
}

// examineSource asks a source about itself. A guest of somebody else's need not know
// how to answer.
func examineSource(ctx context.Context, src source.Source) found {
	e, ok := src.(source.Examiner)
	if !ok {
		return found{findings: []checkup.Finding{checkup.Skip(checkup.CheckExamination, "this kind of source cannot examine itself")}}
	}
	x := e.Examine(ctx)
	return found{findings: x.Findings, sample: x.Sample}
}
