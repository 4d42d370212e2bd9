package sources

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// cold is one first read of one source.
type cold struct {
	source  string
	fleet   int // devices of the tenant
	listed  int // devices of those that the service has a record of
	devices int // what the source has in memory afterwards
	users   int
	calls   int
	busiest int           // calls in one second
	took    time.Duration // of the tenant's time: what the published limits make it last
	held    uint64        // bytes in memory afterwards, the source's own notes included
	routes  map[string]int
}

// firstRead reads a tenant of n devices with one source that knows nothing yet, as
// a gateway does that was just installed.
// Each answer takes so long, by the tenant's clock.
func firstRead(t *testing.T, s *subject, n int, latency time.Duration) (c cold) {
	t.Helper()
	c = cold{source: s.name, fleet: n}
	inBubble(t, func(t *testing.T) {
		tn := newTenant(t, emulator.Options{Devices: n})
		tn.line.latency = latency
		c.listed = recordsOf(tn, s)
		before := heap()
		g := open(t, tn, []*subject{s}, s.require)
		begin := time.Now()
		stop := g.start(t)
		r := g.runners[0]
		for !r.State().Loaded() {
			if time.Since(begin) > firstSweep {
				t.Fatalf("%s is not read after %s: %s", s.name, firstSweep, r.Status().LastError)
			}
			time.Sleep(10 * time.Millisecond)
		}
		c.took = time.Since(begin)
		for _, sec := range tn.Pace(begin) {
			c.calls += sec.Calls
			c.busiest = max(c.busiest, sec.Calls)
		}
		c.routes = tn.Calls()
		stop()
		c.devices, c.users = r.Table().Len(), r.Table().Users()
		c.held = heap() - before
		tn.Check(t)
		runtime.KeepAlive(g)
	})
	return c
}

// heap is what is in use after garbage was collected; pools are emptied by a second
// collection.
func heap() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// recordsOf is how many devices the service that s reads has a record of.
func recordsOf(tn *tenant, s *subject) (n int) {
	for _, d := range tn.Devices() {
		known := map[string]bool{
			"intune": len(d.Managed) > 0, "entra": d.Directory != nil, "defender": len(d.Machines) > 0, "configmgr": d.ConfigMgr != nil,
		}
		if known[s.name] {
			n++
		}
	}
	return n
}

// coldHead is the head of the table that make bench prints.
const coldHead = `| source | devices | users | calls | most calls in a second | duration, answers at once | duration, answers after 150 ms | bytes in memory per device and user | calls by route |
|---|---|---|---|---|---|---|---|---|
`

// row is a row of it. slow is the same read with answers that take time.
func (c cold) row(slow cold) string {
	routes := slices.Sorted(maps.Keys(c.routes))
	for i, r := range routes {
		routes[i] = fmt.Sprintf("%s %d", r, c.routes[r])
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %s | %s | %.0f | %s |\n", c.source, c.devices, c.users, c.calls, c.busiest,
		c.took.Round(100*time.Millisecond), slow.took.Round(100*time.Millisecond), float64(c.held)/float64(max(1, c.devices+c.users)),
		strings.Join(routes, ", "))
}

// pages is how many calls a first read may make: one per so many rows, and some
// whatever the size of the tenant. Ten per cent of the rows are for records that are
// no device of their own.
var pages = map[string]struct {
	rows  func(c cold) int
	each  int
	fixed int
}{
	"intune":    {func(c cold) int { return c.devices }, 1000, 125}, // with the reasons of fifty devices, two calls each
	"entra":     {func(c cold) int { return c.devices + c.users }, 100, 25},
	"defender":  {func(c cold) int { return c.devices }, 10_000, 10},
	"configmgr": {func(c cold) int { return 4 * c.devices }, 1000, 25}, // four classes
}

// TestColdSync: the first read of a tenant gets every device, keeps the published
// limits and needs as many calls as there are pages. GATEHOUSE_LONG makes it 100,000
// devices; GATEHOUSE_COLD_TABLE names a file for the figures.
func TestColdSync(t *testing.T) {
	fleet := 4000
	if os.Getenv("GATEHOUSE_LONG") != "" {
		fleet = 100_000
	}
	file := os.Getenv("GATEHOUSE_COLD_TABLE")
	var table strings.Builder
	table.WriteString(coldHead)
	for _, name := range []string{"intune", "entra", "defender", "configmgr"} {
		s := named(name)
		half, whole := firstRead(t, s, fleet/2, 0), firstRead(t, s, fleet, 0)
		for _, c := range []cold{half, whole} {
			if lost := c.listed - c.devices; lost < -c.fleet/100 || lost > c.fleet/100 {
				t.Errorf("%s of %d devices: %d are known, the service has %d", name, c.fleet, c.devices, c.listed)
			}
			p := pages[name]
			if most := p.rows(c)*11/10/p.each + p.fixed; c.calls > most {
				t.Errorf("%s of %d devices: %d calls, want at most %d: %v", name, c.fleet, c.calls, most, c.routes)
			}
		}
		if whole.calls > 2*half.calls+5 {
			t.Errorf("%s: %d calls for %d devices and %d for half of them", name, whole.calls, fleet, half.calls)
		}
		slow := firstRead(t, s, fleet, 150*time.Millisecond)
		row := whole.row(slow)
		t.Log(row)
		table.WriteString(row)
	}
	if file != "" {
		err := os.WriteFile(file, []byte(table.String()), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
}
