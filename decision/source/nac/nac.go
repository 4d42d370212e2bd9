package nac

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// maxBody bounds an answer about one device, which has less than 2 KiB.
const maxBody = 64 << 10

// Options configure a [Source]. Only Client is needed.
type Options struct {
	// Client talks to the tenant. It needs the application permissions
	// Application.Read.All of Microsoft Graph, to find the service, and
	// get_device_compliance of the Intune API. The caller closes it.
	Client *msgraph.Client
	// Now is the clock. Default [time.Now].
	Now func() time.Time
	// Logger receives what operators should read; nil: nothing is logged.
	Logger *slog.Logger
}

// Source is the compliance retrieval service of one tenant. It implements
// [source.Looker] and is safe for concurrent use. It has no goroutine.
type Source struct {
	o       Options
	service *finder

	mu    sync.Mutex
	stats Stats
}

// New makes a source. It calls nobody. The error names a missing option.
func New(o Options) (*Source, error) {
	if o.Client == nil {
		return nil, errors.New("nac: client is missing")
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Source{o: o, service: newFinder(o)}, nil
}

// Facts implements [source.Source].
func (s *Source) Facts() decision.FactSet {
	return decision.Facts(decision.FactCompliance, decision.FactManaged)
}

// Lookup implements [source.Looker] for Intune device ids. Of any other kind of
// id it says [source.ErrUnknownDevice], for the service has none such. It says so
// too of a device that is not registered: to the service that is the same.
// Failures of the service wrap an [*msgraph.Error].
func (s *Source) Lookup(ctx context.Context, key decision.Key) (decision.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return decision.Verdict{}, fmt.Errorf("nac: %w", err)
	}
	if key.Kind != decision.KindIntune {
		return decision.Verdict{}, fmt.Errorf("nac: the service has no ids of kind %s: %w", key.Kind, source.ErrUnknownDevice)
	}
	if c, ok := decision.CanonicalKey(key.Kind, key.Value); !ok || c != key {
		return decision.Verdict{}, fmt.Errorf("nac: not an id of Intune: %w", source.ErrUnknownDevice)
	}
	rows, err := s.ask(ctx, key.Value)
	if err == nil {
		var v decision.Verdict
		if v, err = s.judge(rows, key); err == nil {
			return v, nil
		}
	}
	s.count(func(st *Stats) {
		if errors.Is(err, source.ErrUnknownDevice) {
			st.Unknown++
		} else {
			st.Failed++
		}
	})
	return decision.Verdict{}, fmt.Errorf("nac device %s: %w", key.Value, err)
}

// ask asks for one Intune id. A service that cannot be reached may have moved:
// then it is looked for and asked once more.
func (s *Source) ask(ctx context.Context, id string) ([]row, error) {
	base, err := s.service.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("compliance retrieval service: %w", err)
	}
	rows, err := s.call(ctx, base, id)
	if !mayHaveMoved(err) {
		return rows, err
	}
	if next, ok := s.service.instead(ctx, base); ok {
		return s.call(ctx, next, id)
	}
	return nil, err
}

func (s *Source) call(ctx context.Context, base, id string) ([]row, error) {
	answer, err := s.o.Client.Do(ctx, msgraph.Request{
		Endpoint: msgraph.NACDevice, Path: base + "/cisco/devices/", Accept: "application/xml", MaxBody: maxBody,
		Query: url.Values{"paging": {"0"}, "querycriteria": {"guid"}, "value": {id}, "filter": {"all"}},
	})
	if err != nil {
		return nil, err
	}
	return decode(answer.Body)
}

// mayHaveMoved reports whether nobody answered, or somebody who does not know the
// route. Unknown devices have an answer of their own: an empty list.
func mayHaveMoved(err error) bool {
	var e *msgraph.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Kind {
	case msgraph.KindUnavailable:
		return e.Status == 0
	case msgraph.KindNotFound, msgraph.KindGone:
		return true
	}
	return e.Status >= 300 && e.Status < 400
}

var _ source.Looker = (*Source)(nil)

// Kinds implements [source.KindLimited]: the service is asked by Intune ids.
func (s *Source) Kinds() []string { return []string{decision.KindIntune} }
