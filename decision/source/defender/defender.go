package defender

import (
	"cmp"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// defaultFullSweep is also how long a machine's exposure and the health of its
// sensor may lag: those change without the machine reporting, and cannot be asked
// for like risk.
const defaultFullSweep = time.Hour

// Options configure a [Source]. Only Client is needed.
type Options struct {
	// Client talks to the tenant. It needs the application permission
	// Machine.Read.All of WindowsDefenderATP. The caller closes it.
	Client *msgraph.Client
	// Alerts reads the open alerts too. The highest severity among those of a
	// machine raises its risk, and never lowers it. It needs Alert.Read.All;
	// without it the Sync fails, because its absence would hide risk.
	Alerts bool
	// FullSweep is the time between two complete listings. Default 1 h.
	FullSweep time.Duration
	// Now is the clock. Default [time.Now].
	Now func() time.Time
	// Logger receives what operators should read; nil: nothing is logged.
	Logger *slog.Logger
}

// Source is the Defender for Endpoint service of one tenant. It implements
// [source.Syncer] and [source.Looker] and is safe for concurrent use. What it
// remembers is lost with the process: the next one lists everything again.
type Source struct {
	o     Options
	style styles

	turn     source.Turn // of a Sync; guards what follows
	apart    map[string]bool
	complain map[string]bool // what was logged already

	mu    sync.Mutex // guards what follows
	fleet fleet
	// forgotten are machines of which nothing is kept. A listing that is being read may
	// have taken it from the fleet before, so they are looked at again at its end.
	forgotten source.Forgotten
	alerts    map[string]worst      // by machine id; replaced, never changed
	during    map[decision.Key]bool // machines that a look-up brought while a Sync reads; nil: none reads
	fullDue   bool
	lastFull  time.Time // when the last complete listing began
	lastPoll  time.Time // when the last complete listing or poll for changes began
	lastGood  time.Time // when the last good Sync began; zero while it fails
	dirty     bool      // something changed since the last sweep that was emitted
	emitted   bool
	stats     Stats
}

// New makes a source. It calls nobody. The error names a missing or wrong
// option.
func New(o Options) (*Source, error) {
	switch {
	case o.Client == nil:
		return nil, errors.New("defender: client is missing")
	case o.FullSweep < 0:
		return nil, errors.New("defender: time between complete listings is negative")
	}
	o.FullSweep = cmp.Or(o.FullSweep, defaultFullSweep)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Source{
		o: o, turn: source.NewTurn(), apart: map[string]bool{}, complain: map[string]bool{},
		stats: Stats{LookUp: byFilter},
	}, nil
}

// Facts implements [source.Source].
func (s *Source) Facts() decision.FactSet {
	return decision.Facts(decision.FactRisk, decision.FactExposure, decision.FactSensor)
}

// Kinds implements [source.KindLimited]: a look-up by any other id would take a turn
// for nothing.
func (s *Source) Kinds() []string { return []string{decision.KindDefender, decision.KindEntra} }

// once logs a lasting limitation of the service the first time. The caller has
// the turn.
func (s *Source) once(what string, err error) {
	if !s.complain[what] {
		s.complain[what] = true
		var why []any
		if err != nil {
			why = []any{"error", err}
		}
		s.o.Logger.Warn("defender: "+what, why...)
	}
}

var (
	_ source.Syncer = (*Source)(nil)
	_ source.Looker = (*Source)(nil)

	_ source.KindLimited = (*Source)(nil)
)
