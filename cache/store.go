package cache

import "time"

// Result says what a look-up found. The zero value is Miss.
type Result uint8

// The results.
const (
	Miss     Result = iota // nothing is known about the key
	Hit                    // a value that has not expired
	Negative               // the key is known not to exist
	Expired                // a value was there but its time is over; it is gone now
)

// Results lists every result, for metric labels.
var Results = []Result{Miss, Hit, Negative, Expired}

var resultNames = [...]string{"miss", "hit", "negative", "expired"}

// String returns the stable name used as a metric label.
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return "unknown"
}

// Store is what users of a cache depend on. [Cache] satisfies it in memory; a
// store shared by several gateways satisfies it with a local copy in front, so
// that no method waits for the network for longer than the store's own, short
// limit. All methods are safe for concurrent use.
//
// The last word about a key wins: Put ends a negative entry and PutNegative
// ends a value. A store may forget any entry at any time; it must never invent
// one, return the value of another key, or return a value after its expiry.
type Store[K comparable, V any] interface {
	// Get returns the value of k and Hit. With any other result the value is
	// the zero V.
	Get(k K) (V, Result)
	// Put keeps v until expires. The zero time means until it is evicted. A
	// time that is not in the future deletes the value.
	Put(k K, v V, expires time.Time)
	// PutNegative records for a limited time that k does not exist. Negative
	// entries have a bound of their own and never evict a value of another key.
	PutNegative(k K)
	// Delete forgets all about k.
	Delete(k K)
}

var _ Store[string, int] = (*Cache[string, int])(nil)
