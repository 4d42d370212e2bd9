package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// loadPlan is what the load generator is told on standard input.
type loadPlan struct {
	Addr    string
	Conns   int           // connections, each with one request at a time
	Streams int           // HTTP/2 only: requests at a time per connection
	HTTP2   bool          // over TLS
	CA      string        // authority of the server: TLS is used
	Cert    string        // client certificate, without its extension
	Tokens  string        // file with one token per line
	Use     int           // how many of the tokens to send in turn; 0: no token
	Once    bool          // send no token twice; stop when they are used up
	Skip    int           // tokens to leave out at the start
	Time    time.Duration // how long
}

// loadResult is what it answers on standard output.
type loadResult struct {
	Good     int64 // answers with status 200 and the whole body
	Bad      int64 // any other answer
	Status   int   // of the first bad answer
	Error    string
	Elapsed  time.Duration
	P50, P99 time.Duration
	CPU      time.Duration // of the generator itself
}

// generate reads a plan, runs it and prints the result.
func generate() error {
	var p loadPlan
	err := json.NewDecoder(os.Stdin).Decode(&p)
	if err != nil {
		return fmt.Errorf("load plan: %w", err)
	}
	g, err := newGenerator(&p)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(g.run())
}

type generator struct {
	*loadPlan
	tokens []string
	next   atomic.Int64
	tls    *tls.Config
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
}

func (g *generator) run() loadResult {
	var workers []*worker
	for range g.Conns {
		if !g.HTTP2 {
			workers = append(workers, &worker{do: g.http1()})
			continue
		}
		do := g.http2()
		for range g.Streams {
			workers = append(workers, &worker{do: do})
		}
	}
	start := time.Now()
	stop := start.Add(g.Time)
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { g.drive(w, stop) })
	}
	wg.Wait()
	res := loadResult{Elapsed: time.Since(start), CPU: ownCPU()}
	var times []time.Duration
	for _, w := range workers {
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
			return
		}
		status, err := w.do(token)
		if err != nil {
			w.err, w.bad = err, w.bad+1
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

// http1 opens a keep-alive connection with the first request. Head and body are
// read by hand: a full client would take as much of the machine as the proxy.
func (g *generator) http1() func(string) (int, error) {
	var conn net.Conn
	var r *bufio.Reader
	var out bytes.Buffer
	return func(token string) (int, error) {
		if conn == nil {
			c, err := net.DialTimeout("tcp", g.Addr, 5*time.Second)
			if err != nil {
				return 0, err
			}
			if g.tls != nil {
				c = tls.Client(c, g.tls)
			}
			conn, r = c, bufio.NewReaderSize(c, 8<<10)
		}
		out.Reset()
		out.WriteString("GET /reports/weekly HTTP/1.1\r\nHost: " + siteName + "\r\nUser-Agent: bench/1\r\nAccept: */*\r\n")
		if token != "" {
			out.WriteString("Authorization: Bearer " + token + "\r\n")
		}
		out.WriteString("\r\n")
		err := conn.SetDeadline(time.Now().Add(10 * time.Second))
		if err != nil {
			return 0, err
		}
		_, err = conn.Write(out.Bytes())
		if err != nil {
			return 0, err
		}
		status, closing, err := readAnswer(r)
		if closing {
			conn.Close()
			conn = nil
		}
		return status, err
	}
}

// readAnswer reads one response with a Content-Length.
func readAnswer(r *bufio.Reader) (status int, closing bool, err error) {
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, true, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case status == 0:
			if len(line) < 12 {
				return 0, true, fmt.Errorf("status line %q", line)
			}
			status, err = strconv.Atoi(string(line[9:12]))
			if err != nil {
				return 0, true, fmt.Errorf("status line %q", line)
			}
		case len(line) == 0:
			if length < 0 {
				return status, true, errors.New("answer without Content-Length")
			}
			_, err = r.Discard(length)
			return status, closing, err
		case bytes.EqualFold(line[:min(len(line), 15)], []byte("Content-Length:")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:])))
			if err != nil {
				return 0, true, fmt.Errorf("content length %q", line)
			}
		case bytes.EqualFold(line, []byte("Connection: close")):
			closing = true
		}
	}
}

// http2 makes a client with one connection of its own.
func (g *generator) http2() func(string) (int, error) {
	t := &http.Transport{TLSClientConfig: g.tls.Clone(), ForceAttemptHTTP2: true, DisableCompression: true}
	c := &http.Client{Transport: t, Timeout: 10 * time.Second}
	return func(token string) (int, error) {
		req, err := http.NewRequest(http.MethodGet, "https://"+g.Addr+"/reports/weekly", nil)
		if err != nil {
			return 0, err
		}
		req.Host = siteName
		if token != "" {
			req.Header["Authorization"] = []string{"Bearer " + token}
		}
		resp, err := c.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 {
			return 0, fmt.Errorf("answered over HTTP/%d", resp.ProtoMajor)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
}
