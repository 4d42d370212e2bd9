package fleet

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// answer is one answer, decided at some moment from sent to got.
type answer struct {
	sent, got time.Time
	status    int
	body      string
}

// expired reports whether the gateway did not know that the source fails.
func (a *answer) expired() bool { return strings.Contains(a.body, `"verdict_expired"`) }

// witness asks for two devices while their source fails, and judges the answers.
type witness struct {
	*stage
	outage
	goodToken, badToken string

	asked time.Time // what is known of the good device is not older
	began time.Time // since then nothing new can become known

	mu      sync.Mutex
	noticed time.Time // the gateway was first seen to know that the source fails
	answers []answer  // about the good device
	took    []time.Duration
}

// begin has the gateway read the good device once more, and then lets the source
// fail.
func (w *witness) begin(fail func(*stage) func()) (repair func()) {
	w.t.Helper()
	d := w.device(w.good)
	id := d.EntraID.String()
	if w.kind == "intune" {
		id = "intune:" + d.Managed[0].ID.String()
	}
	w.asked = time.Now()
	var got struct {
		Refreshed []struct{ Source, Result string }
	}
	status := w.gateway.Call(http.MethodPost, "/compliance/devices/"+id+"/refresh", struct{}{}, &got)
	anew := slices.ContainsFunc(got.Refreshed, func(s struct{ Source, Result string }) bool { return s.Result == "refreshed" })
	if status != http.StatusOK || !anew {
		w.t.Fatalf("asking for the good device: %d %+v", status, got)
	}
	repair = fail(w.stage)
	w.began = time.Now()
	return repair
}

// window is how long what is known serves, before the spread of ten per cent.
func (w *witness) window() time.Duration { return w.maxAge + w.stale }

// observe keeps asking until well after the window and judges every answer.
func (w *witness) observe() {
	w.t.Helper()
	var load sync.WaitGroup
	end := w.began.Add(w.window()*11/10 + 3*time.Second)
	for range 2 {
		load.Go(func() { w.ask(end) })
	}
	load.Go(func() { w.notice(end) })
	load.Wait()
	if w.noticed.IsZero() {
		w.t.Error("the gateway never noticed that the source fails")
	}
	allowed, undecided, wrong := 0, 0, 0
	for i := range w.answers {
		a := &w.answers[i]
		why := w.judge(a)
		if why != "" {
			wrong++
		}
		if why != "" && wrong <= 10 { // the others say the same
			w.t.Errorf("asked for a good device %s to %s into the failure: %d, %s: %s", a.sent.Sub(w.began), a.got.Sub(w.began), a.status, why, a.body)
		}
		if a.status == http.StatusOK {
			allowed++
		} else {
			undecided++
		}
	}
	if allowed == 0 || undecided == 0 || wrong > 0 {
		w.t.Errorf("%d answers allowed and %d undecided, %d of them wrongly; want some of both", allowed, undecided, wrong)
	}
	slices.Sort(w.took)
	if median := w.took[len(w.took)/2]; median > 700*time.Millisecond { // a look-up takes 800 ms of a service that hangs
		w.t.Errorf("half of all requests took %s or more: they wait for the source", median)
	}
	w.t.Logf("%d answers allowed, %d undecided, noticed after %s, slowest %s", allowed, undecided, w.noticed.Sub(w.began), w.took[len(w.took)-1])
}

// judge says what is wrong with an answer about the good device, or "". What is
// known was confirmed between w.asked and w.began.
func (w *witness) judge(a *answer) string {
	oldest, youngest := a.got.Sub(w.asked), a.sent.Sub(w.began)
	switch a.status {
	case http.StatusOK:
		if youngest > w.window()*11/10 {
			return "longer than the window"
		}
		return ""
	case http.StatusServiceUnavailable:
		if oldest >= w.window()*9/10 {
			return ""
		}
		// A gateway that the machine lets wait for seconds cannot know of the failure
		// before max_age ends. It says so, and not for longer than until it knows.
		late := w.noticed.Sub(w.asked) > w.maxAge*9/10
		if late && a.expired() && oldest > w.maxAge*9/10 && !a.sent.After(w.noticed) {
			return ""
		}
		return "inside of the window"
	}
	return "a wrong block"
}

// ask asks for both devices in turn until end.
func (w *witness) ask(end time.Time) {
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for time.Now().Before(end) {
		for _, token := range []string{w.badToken, w.goodToken} {
			a, err := w.get(client, token)
			if err != nil {
				w.t.Errorf("asking the gateway: %v", err)
				return
			}
			w.mu.Lock()
			w.took = append(w.took, a.got.Sub(a.sent))
			if token == w.goodToken {
				w.answers = append(w.answers, a)
			}
			w.mu.Unlock()
			if token == w.badToken && a.status != http.StatusForbidden {
				w.t.Errorf("a bad device got %d, %s into the failure: %s", a.status, a.got.Sub(w.began), a.body)
				return
			}
		}
		time.Sleep(30 * time.Millisecond)
	}
}

func (w *witness) get(client *http.Client, token string) (a answer, err error) {
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/app/x", w.port), nil)
	if err != nil {
		return a, err
	}
	for i, h := 0, rig.Bearer(token); i+1 < len(h); i += 2 {
		req.Header.Set(h[i], h[i+1])
	}
	a.sent = time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a.got, a.status = time.Now(), resp.StatusCode
	if a.status != http.StatusOK {
		a.body = string(body)
	}
	return a, err
}

// notice waits until the gateway knows that the source fails.
func (w *witness) notice(end time.Time) {
	for time.Now().Before(end) {
		var status struct {
			Sources []struct {
				Name  string `json:"name"`
				State string `json:"state"`
			} `json:"sources"`
		}
		w.gateway.Call(http.MethodGet, "/compliance/status", nil, &status)
		for _, src := range status.Sources {
			if src.Name == w.name && src.State == "failing" {
				w.mu.Lock()
				w.noticed = time.Now()
				w.mu.Unlock()
				return
			}
		}
		time.Sleep(30 * time.Millisecond)
	}
}
