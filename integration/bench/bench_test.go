package main

import (
	"bufio"
	"strings"
	"testing"
	"time"
)

func TestStatTime(t *testing.T) {
	const tail = " S 1 2 3 4 5 6 7 8 9 10 250 150 0 0 20 0 9 0 1 2 3"
	for _, name := range []string{"(caddy)", "(odd name) 1 2)"} {
		got, err := statTime("77 " + name + tail)
		if want := 4 * time.Second; err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	for _, bad := range []string{"", "1 (x) S 1", "1 (x) S 1 2 3 4 5 6 7 8 9 10 a 1 0", "no parenthesis"} {
		_, err := statTime(bad)
		if err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestPerfSum(t *testing.T) {
	got, err := perfSum("1000,,instructions:u,1,100.00,,\n234,,instructions:k,1,100.00,,\n")
	if err != nil || got != 1234 {
		t.Errorf("got %d, %v, want 1234", got, err)
	}
	_, err = perfSum("<not supported>,,instructions:u,0,100.00,,\n")
	if err == nil {
		t.Error("counters that are not supported: no error")
	}
}

func TestMedianAndSpread(t *testing.T) {
	for _, tc := range []struct {
		list []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(tc.list); got != tc.want {
			t.Errorf("median(%v) = %v, want %v", tc.list, got, tc.want)
		}
	}
	cost := func(stock, it float64) pair { return pair{sample{cpu: stock}, sample{cpu: it}} }
	mid, low, high := spread([]pair{cost(100, 110), cost(200, 180), cost(100, 100), cost(0, 5)}, func(s *sample) float64 { return s.cpu })
	if mid != 1 || low != 0.9 || high != 1.1 {
		t.Errorf("spread: got %v %v %v, want 1 0.9 1.1: a run without a stock value does not count", mid, low, high)
	}
}

func TestReadAnswer(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		status   int
		closing  bool
		bad      bool
	}{
		{"whole", "HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 3\r\n\r\nabc", 200, false, false},
		{"closing", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 403, true, false},
		{"short body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 200, false, true},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", 200, true, true},
		{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 0, true, true},
		{"garbage", "hello\r\n", 0, true, true},
		{"nothing", "", 0, true, true},
	} {
		status, closing, err := readAnswer(bufio.NewReader(strings.NewReader(tc.in)))
		if status != tc.status || closing != tc.closing || (err != nil) != tc.bad {
			t.Errorf("%s: got %d %v %v, want %d %v, bad %v", tc.name, status, closing, err, tc.status, tc.closing, tc.bad)
		}
	}
}

// TestTokensRunOut: the load with new tokens sends none twice and then ends.
func TestTokensRunOut(t *testing.T) {
	g := &generator{loadPlan: &loadPlan{Once: true, Time: time.Minute}, tokens: []string{"a", "b", "c"}}
	seen := map[string]int{}
	w := &worker{do: func(token string) (int, error) { seen[token]++; return 200, nil }}
	g.workers = []*worker{w}
	if g.slice(time.Minute) {
		t.Error("there is more to do although the tokens are used up")
	}
	if res := g.result(); res.Good != 3 || len(seen) != 3 {
		t.Errorf("got %d answers, tokens %v, want each of three once", res.Good, seen)
	}
}

func TestEveryContestantHasItsLoadAndTheTableItsRow(t *testing.T) {
	results := map[string][]pair{}
	for i := range contestants {
		c := &contestants[i]
		if _, ok := kinds[c.kind]; !ok {
			t.Errorf("%s: unknown kind of load %q", c.key, c.kind)
		}
		if results[c.key] != nil {
			t.Errorf("%s: twice", c.key)
		}
		results[c.key] = []pair{{stock: sample{cpu: 100}, it: sample{cpu: 100 + float64(i)}}}
	}
	text := table(contestants, results, false, 1, time.Second)
	for i := range contestants {
		if !strings.Contains(text, "| "+contestants[i].name+" |") {
			t.Errorf("no row for %s:\n%s", contestants[i].key, text)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, tc := range []struct {
		only  string
		count int
		cold  bool
		bad   bool
	}{
		{"", len(contestants), true, false},
		{"token,h2", 2, false, false},
		{"cold", 0, true, false},
		{"token,cold", 1, true, false},
		{"tokens", 0, false, true},
		{"token,", 0, false, true},
	} {
		list, cold, err := choose(tc.only)
		if len(list) != tc.count || cold != tc.cold || (err != nil) != tc.bad {
			t.Errorf("%q: %d contestants, cold %v, %v, want %d, %v, bad %v", tc.only, len(list), cold, err, tc.count, tc.cold, tc.bad)
		}
	}
}
