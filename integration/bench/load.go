package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// duel is what the load generator is told on standard input: it loads the
// addresses of its plans in turn, a slice of time each, so that whatever else the
// machine does hits all of them alike.
type duel struct {
	Plans []*loadPlan
	Slice time.Duration
}

// loadPlan is the load on one address.
type loadPlan struct {
	Addr    string
	Conns   int           // connections, each with one request at a time
	Streams int           // HTTP/2 only: requests at a time per connection
	HTTP2   bool          // over TLS
	Bare    bool          // hardly any headers
	CA      string        // authority of the server: TLS is used
	Cert    string        // client certificate, without its extension
	Tokens  string        // file with one token per line
	Use     int           // how many of the tokens to send in turn; 0: no token
	Once    bool          // send no token twice; stop when they are used up
	Skip    int           // tokens to leave out at the start
	Time    time.Duration // how long, all slices together
}

// loadResult is what it answers on standard output.
type loadResult struct {
	Good     int64 // answers with status 200 and the whole body
	Bad      int64 // any other answer
	Status   int   // of the first bad answer
	Error    string
	Elapsed  time.Duration
	P50, P99 time.Duration
}

// generate reads a duel, fights it and prints one result for each plan.
func generate() error {
	var d duel
	err := json.NewDecoder(os.Stdin).Decode(&d)
	if err != nil {
		return fmt.Errorf("load plan: %w", err)
	}
	gs := make([]*generator, len(d.Plans))
	for i, p := range d.Plans {
		gs[i], err = newGenerator(p)
		if err != nil {
			return err
		}
	}
	for round := 0; ; round++ {
		again := false
		for i := range gs {
			g := gs[(i+round)%len(gs)] // who goes first changes
			again = g.slice(d.Slice) || again
		}
		if !again {
			break
		}
	}
	results := make([]loadResult, len(gs))
	for i, g := range gs {
		results[i] = g.result()
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

type generator struct {
	*loadPlan
	tokens []string
	next   atomic.Int64
	tls    *tls.Config

	workers []*worker
	elapsed time.Duration
	over    bool // a worker failed, or the tokens are used up
}

func newGenerator(p *loadPlan) (*generator, error) {
	g := &generator{loadPlan: p}
	if p.Use > 0 {
		raw, err := os.ReadFile(p.Tokens)
		if err != nil {
			return nil, err
		}
		g.tokens = strings.Fields(string(raw))
		if p.Skip+p.Use > len(g.tokens) {
			return nil, fmt.Errorf("load plan wants %d tokens after %d, the file has %d", p.Use, p.Skip, len(g.tokens))
		}
		g.tokens = g.tokens[p.Skip : p.Skip+p.Use]
	}
	if p.CA == "" {
		g.open()
		return g, nil
	}
	pool, err := os.ReadFile(p.CA)
	if err != nil {
		return nil, err
	}
	g.tls = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: siteName, MinVersion: tls.VersionTLS13}
	g.tls.RootCAs.AppendCertsFromPEM(pool)
	if p.Cert != "" {
		cert, err := tls.LoadX509KeyPair(p.Cert+".pem", p.Cert+".key")
		if err != nil {
			return nil, err
		}
		g.tls.Certificates = []tls.Certificate{cert}
	}
	g.open()
	return g, nil
}

// worker is one connection, or one stream of one: do makes one request and
// returns its status.
type worker struct {
	do    func(token string) (int, error)
	times []time.Duration
	good  int64
	bad   int64
	first int // bad status
	err   error
	over  bool
}

// open makes the workers; connections open with their first request.
func (g *generator) open() {
	for range g.Conns {
		if !g.HTTP2 {
			g.workers = append(g.workers, &worker{do: g.http1()})
			continue
		}
		do := g.http2()
		for range g.Streams {
			g.workers = append(g.workers, &worker{do: do})
		}
	}
}

// slice loads the address for at most d. It reports whether there is more to do.
func (g *generator) slice(d time.Duration) bool {
	d = min(d, g.Time-g.elapsed)
	if g.over || d <= 0 {
		return false
	}
	start := time.Now()
	stop := start.Add(d)
	var wg sync.WaitGroup
	for _, w := range g.workers {
		wg.Go(func() { g.drive(w, stop) })
	}
	wg.Wait()
	g.elapsed += time.Since(start)
	for _, w := range g.workers {
		g.over = g.over || w.over
	}
	return !g.over && g.elapsed < g.Time
}

func (g *generator) result() loadResult {
	res := loadResult{Elapsed: g.elapsed}
	var times []time.Duration
	for _, w := range g.workers {
		res.Good, res.Bad = res.Good+w.good, res.Bad+w.bad
		times = append(times, w.times...)
		if w.first != 0 {
			res.Status = w.first
		}
		if w.err != nil {
			res.Error = w.err.Error()
		}
	}
	slices.Sort(times)
	if n := len(times); n > 0 {
		res.P50, res.P99 = times[n/2], times[n*99/100]
	}
	return res
}

// token is the next one to send; ok is false when they are used up.
func (g *generator) token() (string, bool) {
	if len(g.tokens) == 0 {
		return "", true
	}
	n := int(g.next.Add(1) - 1)
	if g.Once && n >= len(g.tokens) {
		return "", false
	}
	return g.tokens[n%len(g.tokens)], true
}

func (g *generator) drive(w *worker, stop time.Time) {
	for now := time.Now(); now.Before(stop); {
		token, ok := g.token()
		if !ok {
			w.over = true
			return
		}
		status, err := w.do(token)
		if err != nil {
			w.err, w.bad, w.over = err, w.bad+1, true
			return
		}
		after := time.Now()
		if status == http.StatusOK {
			w.good++
			w.times = append(w.times, after.Sub(now))
		} else {
			w.bad, w.first = w.bad+1, status
		}
		now = after
	}
}
