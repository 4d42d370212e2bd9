package source

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/decision"
)

// overlayEntries bounds the single verdicts kept beside a complete table.
const overlayEntries = 10_000

// Runner keeps what one source says, in memory and fresh. It owns every
// goroutine that talks to the source. It survives a reload of the configuration
// and is safe for concurrent use.
type Runner struct {
	src    Source
	syncer Syncer   // nil if the source cannot list its devices
	looker Looker   // nil if the source cannot be asked for one device
	kinds  []string // of id that the source knows; nil: any
	o      RunnerOptions
	state  *decision.SourceState

	groups *groupKeeper // nil if the source cannot be asked about users' groups

	view   atomic.Pointer[view]
	looked *cache.Cache[decision.Key, *looked]
	// unusable are the ids whose answers could not be used a moment ago.
	unusable *cache.Cache[decision.Key, struct{}]
	gen      atomic.Uint64
	// blend is held while a look-up or a table that takes the place of an older one
	// takes over what that knew. Where both are needed it is taken before mu.
	blend sync.Mutex
	// placing is held while a sweep that was read takes the place of what is known, and
	// while something of that is forgotten. It is taken before blend.
	placing  sync.Mutex
	saving   sync.Mutex // held while the snapshot is written, so that the newest is last
	can      keeping
	manyGone atomic.Bool // it was logged that there are too many tombstones
	longNote sync.Once   // logs that the note of the source is too long

	flights  flights
	slots    chan struct{} // one per look-up in flight
	limiter  *rate.Limiter
	breaker  *gobreaker.CircuitBreaker[decision.Verdict]
	waitTill atomic.Int64 // decision.Mono until which the source asked us to wait; 0: not
	renewed  atomic.Bool  // a verdict was confirmed again; postures should hear of it
	checkIns *checkIns    // nil: devices are not told to check in

	ctx     context.Context // ends with Stop
	cancel  context.CancelFunc
	running sync.WaitGroup
	started sync.Once
	wake    chan struct{}
	syncing chan struct{} // holds a token while a sweep runs

	mu      sync.Mutex // guards what follows
	journal journal
	stopped bool
	changed []*func()
}

// view is what a runner knows at one moment.
type view struct {
	table *Table
	// since is when the sweep began that the table was last confirmed by, as
	// [decision.Mono]: a single verdict from before it is out of date.
	since int64
}

// journal is what the last sweeps left behind, for status and persistence.
type journal struct {
	failures  int  // sweeps in a row
	putOff    bool // a sweep was due while the source wanted to be left alone
	lastSync  time.Time
	confirmed time.Time
	lastErr   error
	rejected  error // of the newest content, until other content arrives
	bad       int
	badRows   []BadRow
	held      *HeldChange
	pending   *pendingTable
	health    Health
	dirty     bool      // the table differs from the snapshot
	saved     time.Time // confirmation that the snapshot carries
	note      []byte    // that it carries
	written   time.Time // when it was; zero: by no runner in this process
}

// pendingTable is a whole sweep that waits for an operator.
type pendingTable struct {
	table     *Table
	confirmed time.Time
	since     int64
	supplies  decision.FactSet
}

// NewRunner makes a runner for src. It starts nothing: see Load and Start. A
// runner that is no longer needed must be stopped.
func NewRunner(src Source, o RunnerOptions) *Runner {
	o = o.withDefaults()
	r := &Runner{
		src: src,
		o:   o,
		state: &decision.SourceState{
			Name: o.Name, Index: o.Index, Authoritative: o.Authoritative, Authority: o.Authority, Tenant: o.Tenant, Enrols: o.Enrols,
		},
		slots:   make(chan struct{}, o.MaxLookups),
		limiter: rate.NewLimiter(rate.Limit(o.LookupRate), o.MaxLookups),
		wake:    make(chan struct{}, 1),
		syncing: make(chan struct{}, 1),
	}
	r.journal.health = HealthNotLoaded
	r.syncer, _ = src.(Syncer)
	r.state.Asked = r.syncer == nil
	if r.state.Asked {
		r.journal.health = HealthIdle
	}
	r.looker, _ = src.(Looker)
	if k, ok := src.(KindLimited); ok {
		r.kinds = k.Kinds()
	}
	entries := o.Capacity
	if r.syncer != nil {
		entries = min(entries, overlayEntries)
	}
	looked, err := cache.New[decision.Key, *looked](cache.Options[decision.Key]{
		Capacity: entries, NegativeCapacity: o.NegativeEntries, NegativeTTL: o.NegativeTTL,
	})
	if err != nil { // only sizes below one fail, and withDefaults leaves none
		panic(fmt.Sprintf("source: %v", err))
	}
	r.looked = looked
	r.unusable, err = cache.New[decision.Key, struct{}](cache.Options[decision.Key]{Capacity: 1000})
	if err != nil {
		panic(fmt.Sprintf("source: %v", err))
	}
	r.breaker = newBreaker(r.o.Name)
	r.checkIns = newCheckIns(src, o.CheckIns)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.state.SetSupplies(src.Facts())
	r.can = newKeeping(src.Facts(), o.Authority) // before any Sync narrows it to what one listing says
	r.groups = newGroupKeeper(r)
	return r
}

// State returns the live health that postures share.
func (r *Runner) State() *decision.SourceState { return r.state }

// Name returns the source's configured name.
func (r *Runner) Name() string { return r.o.Name }

// Poll returns the time between two sweeps, as configured or by default.
func (r *Runner) Poll() time.Duration { return r.o.Poll }

// Generation counts the changes of what the runner knows.
func (r *Runner) Generation() uint64 { return r.gen.Load() }

// OnChange calls f after every change of what the runner knows, until the
// returned function is called. f must be quick.
func (r *Runner) OnChange(f func()) (remove func()) {
	entry := &f
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = append(r.changed, entry)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, e := range r.changed {
			if e == entry {
				r.changed = append(r.changed[:i:i], r.changed[i+1:]...)
				return
			}
		}
	}
}

// bump makes every posture built before out of date. It must not be called with
// mu held.
func (r *Runner) bump() {
	r.gen.Add(1)
	r.mu.Lock()
	calls := r.changed
	r.mu.Unlock()
	for _, f := range calls {
		(*f)()
	}
}

// knows reports whether the source can know an id of this kind.
func (r *Runner) knows(kind string) bool { return r.kinds == nil || slices.Contains(r.kinds, kind) }

// PinsCertificates reports whether the source says which certificates devices have.
func (r *Runner) PinsCertificates() bool {
	p, ok := r.src.(CertificatePinner)
	return ok && p.PinsCertificates()
}

// Asks reports whether the source can be asked about one device by this id.
func (r *Runner) Asks(key decision.Key) bool {
	if r.looker == nil || !r.knows(key.Kind) {
		return false
	}
	l, limited := r.src.(LookupLimited)
	return !limited || l.CanLookup(key.Kind)
}

// complete reports whether an unknown device is certainly unknown: the source
// lists its devices and has done so.
func (r *Runner) complete() bool { return r.syncer != nil && r.view.Load() != nil }

// Load reads the source for the first time, in the foreground, bounded by ctx.
// If that fails, the persisted snapshot serves. The error is only for a source
// of which nothing is known at all; the runner may be started nevertheless and
// keeps trying. A remote source is not read here: its snapshot serves until the
// first sweep, which Start begins. On a runner that is loaded already Load does
// nothing.
func (r *Runner) Load(ctx context.Context) error {
	if r.syncer == nil || r.complete() {
		return nil
	}
	r.restore()
	if r.o.Remote {
		return nil
	}
	err := r.SyncNow(ctx)
	if err == nil || r.complete() {
		return nil
	}
	return fmt.Errorf("source %s: not loaded: %w", r.o.Name, err)
}

// Start runs the background work until ctx ends or Stop is called. Only the
// first call counts.
func (r *Runner) Start(ctx context.Context) {
	r.started.Do(func() {
		stop := context.AfterFunc(ctx, r.cancel)
		r.spawn(func() {
			defer stop()
			r.keepRunning("sync loop", r.loop)
		})
		if r.groups != nil {
			r.spawn(func() { r.keepRunning("look-up of groups", r.groups.loop) })
		}
		if w, ok := r.src.(Watcher); ok && r.syncer != nil {
			r.spawn(func() {
				r.keepRunning("watch", func(ctx context.Context) error { return w.Watch(ctx, r.Wake) })
			})
		}
	})
}

// Wake asks the background loop for a sweep soon. It never blocks.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// spawn runs f in a goroutine that Stop waits for. It reports false, and runs
// nothing, after Stop.
func (r *Runner) spawn(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.running.Add(1)
	go func() {
		defer r.running.Done()
		f()
	}()
	return true
}

// Stop ends all background work, waits for it and saves the snapshot. What is
// known stays readable.
func (r *Runner) Stop() {
	r.mu.Lock()
	first := !r.stopped
	r.stopped = true
	r.mu.Unlock()
	r.cancel()
	r.running.Wait()
	if first {
		_ = r.save(true)
	}
}
