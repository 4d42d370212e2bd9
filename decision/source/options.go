package source

import (
	"log/slog"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// RunnerOptions configure a [Runner]. Only Name is needed.
type RunnerOptions struct {
	// Name is the source's configured name, a metric label.
	Name string
	// Index is the source's place in the configuration, from 0.
	Index int
	// Authoritative sources decide whether a device exists.
	Authoritative bool
	// Authority is the source's rank where sources disagree. The zero value is a
	// management system.
	Authority decision.Authority
	// Tenant is the tenant that the source reads, and Enrols says that it has a record
	// of every device that it manages there. See [decision.SourceState].
	Tenant string
	Enrols bool
	// Remote says that a sweep goes over the network: Load then waits for none,
	// and the first one is run by Start. A gateway must come up, and serve what
	// its snapshot is worth, while a service is away.
	Remote bool
	// Poll is the time between two complete sweeps, and for a source that
	// cannot list its devices the age at which a verdict is asked for again.
	// Default 15 min.
	Poll time.Duration
	// SyncTimeout bounds one sweep. Default 5 min.
	SyncTimeout time.Duration
	// Capacity bounds the devices, and the users. Default [DefaultCapacity].
	Capacity int
	// Guards are the limits of what a sweep may change at once.
	Guards Guards
	// LookupTimeout bounds one look-up of one device. Default 800 ms.
	LookupTimeout time.Duration
	// MaxLookups bounds look-ups in flight. Default 20.
	MaxLookups int
	// LookupRate bounds look-ups per second, with MaxLookups at once. Default 20.
	LookupRate float64
	// AskUnknown asks for a device that the last listing does not have, once in
	// NegativeTTL: it may have been enrolled since, and listings of large
	// services were seen to end early. If the question cannot be asked the
	// listing counts. It needs a source that can do both.
	AskUnknown bool
	// CheckIns lets people tell their device to check in, if the source is a
	// [CheckInRequester]. Default off.
	CheckIns bool
	// NegativeTTL is how long a device that the source does not know is not
	// asked for again. Default 60 s.
	NegativeTTL time.Duration
	// NegativeEntries bounds how many such devices are remembered. Default
	// 10,000.
	NegativeEntries int
	// Snapshot keeps the table across restarts; nil: it is read anew.
	Snapshot SnapshotStore
	// Logger receives what operators should read; nil: nothing is logged.
	Logger *slog.Logger
	// Observer receives events for metrics.
	Observer Observer
}

func (o RunnerOptions) withDefaults() RunnerOptions {
	duration := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	count := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	duration(&o.Poll, 15*time.Minute)
	duration(&o.SyncTimeout, 5*time.Minute)
	duration(&o.LookupTimeout, 800*time.Millisecond)
	duration(&o.NegativeTTL, time.Minute)
	count(&o.Capacity, DefaultCapacity)
	count(&o.MaxLookups, 20)
	count(&o.NegativeEntries, 10_000)
	if o.LookupRate <= 0 {
		o.LookupRate = 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Guards = o.Guards.withDefaults()
	return o
}

// Observer receives what happens in a runner. Nil members are skipped. They are
// called from several goroutines, sometimes with a lock held: they must be quick
// and must not call the runner.
type Observer struct {
	// Synced reports the end of a sweep.
	Synced func(SyncEvent)
	// LookedUp reports the end of one look-up; result is found, unknown,
	// unusable, throttled, timeout, open (by the circuit breaker) or error.
	LookedUp func(source, result string, took time.Duration)
	// AskedGroups reports the end of one call about the groups of users, of one or
	// of [GroupBatch]; result is answered, partly (some users failed), throttled,
	// timeout or error. A call that our own limits forbid is throttled and took 0.
	AskedGroups func(source, result string, took time.Duration)
	// Denied reports that a sweep or look-up failed because the service does not accept
	// the source's credential, or lets it not read.
	Denied func(source string, why Denial)
	// CheckedIn reports what came of telling a device to check in.
	CheckedIn func(source string, result CheckIn)
}

// SyncEvent is one finished sweep. Its result is a closed set for a label.
type SyncEvent struct {
	Source  string
	Result  string // changed, same, unchanged, held, rejected, throttled or error
	Took    time.Duration
	Devices int // in the table now
	Bad     int // records of this sweep
	Err     error
	// Again is true of held and rejected if the sweep before was stopped for the
	// same: a source that is asked every second must not count as many accidents.
	Again bool
}

// Health is the state of a source as operators see it.
type Health string

// The states. Stale means that the last complete read is older than two polls,
// or that a guard holds part of it. Idle means that the source is only asked about
// single devices and nobody had to ask yet: nothing is wrong, and nothing known.
const (
	HealthOK        Health = "ok"
	HealthStale     Health = "stale"
	HealthFailing   Health = "failing"
	HealthNotLoaded Health = "not_loaded"
	HealthIdle      Health = "idle"
)
