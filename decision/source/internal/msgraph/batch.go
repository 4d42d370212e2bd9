package msgraph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBatch is Graph's limit of calls in one batch.
const maxBatch = 20

// BatchAnswer is the answer to one call of a batch.
type BatchAnswer struct {
	Status     int // 0 if the service left this call out
	Header     http.Header
	Body       json.RawMessage
	RetryAfter time.Duration // what a throttled call names; 0: nothing
	Err        error         // an [*Error] unless Status is 2xx
}

type batchCall struct {
	ID      string            `json:"id"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

type batchReply struct {
	ID      string                     `json:"id"`
	Status  int                        `json:"status"`
	Headers map[string]json.RawMessage `json:"headers"`
	Body    json.RawMessage            `json:"body"`
}

// Batch packs Graph calls into $batch requests of up to 20 each. Answers come in
// the order of the calls, each with a status of its own: one that fails does not
// fail the others, and none is tried again. All calls are of one Graph version.
// Accept and MaxBody of the calls are ignored. A batch spends as much of the
// budget as its calls would. An error means that a whole batch failed, and the
// answers are those of the batches before it.
func (c *Client) Batch(ctx context.Context, calls []Request) ([]BatchAnswer, error) {
	answers := make([]BatchAnswer, 0, len(calls))
	for len(calls) > 0 {
		n := min(len(calls), maxBatch)
		part, e := c.batch(ctx, calls[:n])
		if e != nil {
			return answers, e
		}
		answers = append(answers, part...)
		calls = calls[n:]
	}
	return answers, nil
}

func (c *Client) batch(ctx context.Context, calls []Request) ([]BatchAnswer, *Error) {
	items, version, safe, e := c.pack(calls)
	if e != nil {
		return nil, e
	}
	// What the other endpoints spend is taken first; the call itself takes the rest.
	first := calls[0].Endpoint
	cost := 0
	for i := range items {
		if endpoints[calls[i].Endpoint].scope == endpoints[first].scope {
			cost += items[i].cost
		} else if e = c.pay(ctx, items[i].prepared); e != nil {
			return nil, e
		}
	}
	wire := make([]batchCall, len(items))
	for i := range items {
		wire[i] = items[i].wire
	}
	p, e := c.prepare(Request{
		Endpoint: first, Method: http.MethodPost, Path: "/" + version + "/$batch",
		Body: map[string]any{"requests": wire}, Priority: calls[0].Priority,
	})
	if e != nil {
		return nil, e
	}
	p.repeat, p.cost = safe, cost
	var answers []BatchAnswer
	p.check = func(a *Answer) error {
		var err error
		answers, err = c.unpack(a.Body, calls)
		return err
	}
	if _, e = c.do(ctx, p); e != nil {
		return nil, e
	}
	return answers, nil
}

type batchItem struct {
	*prepared
	wire batchCall
}

// pack checks the calls and writes them the way $batch wants: with paths below
// the version. safe reports that all may be sent twice.
func (c *Client) pack(calls []Request) (items []batchItem, version string, safe bool, e *Error) {
	safe = true
	base := strings.TrimSuffix(c.bases[Graph].Path, "/")
	for i, call := range calls {
		p, e := c.prepare(call)
		if e != nil {
			return nil, "", false, e
		}
		v, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(p.url.RequestURI(), base), "/"), "/")
		if version == "" {
			version = v
		}
		if call.Endpoint.Resource() != Graph || !ok || v != version {
			return nil, "", false, &Error{Endpoint: call.Endpoint, Kind: KindBadRequest, Message: "calls of one batch are Graph calls of one version"}
		}
		safe = safe && p.repeat
		item := batchItem{p, batchCall{ID: strconv.Itoa(i), Method: p.Method, URL: "/" + rest, Body: p.body}}
		for name := range call.Header {
			item.addHeader(name, call.Header.Get(name))
		}
		if p.body != nil {
			item.addHeader("Content-Type", jsonType)
		}
		items = append(items, item)
	}
	return items, version, safe, nil
}

func (i *batchItem) addHeader(name, value string) {
	if i.wire.Headers == nil {
		i.wire.Headers = map[string]string{}
	}
	i.wire.Headers[name] = value
}

var errNoBatch = errors.New(`answer has no "responses" array`)

// unpack puts the answers, which come in any order, in the order of the calls.
func (c *Client) unpack(body []byte, calls []Request) ([]BatchAnswer, error) {
	var wire struct {
		Responses []batchReply `json:"responses"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, errNotJSON
	}
	if wire.Responses == nil {
		return nil, errNoBatch
	}
	answers := make([]BatchAnswer, len(calls))
	for _, reply := range wire.Responses {
		i, err := strconv.Atoi(reply.ID)
		if err != nil || i < 0 || i >= len(calls) || strconv.Itoa(i) != reply.ID {
			return nil, fmt.Errorf("answer to a call that was not made")
		}
		if answers[i].Status != 0 {
			return nil, fmt.Errorf("two answers to one call")
		}
		if reply.Status < 100 || reply.Status > 599 {
			return nil, fmt.Errorf("answer without a status")
		}
		answers[i] = c.reply(calls[i].Endpoint, reply)
	}
	for i := range answers {
		if answers[i].Status == 0 {
			answers[i].Err = &Error{Endpoint: calls[i].Endpoint, Kind: KindAnswer, Message: "batch has no answer to this call"}
		}
	}
	return answers, nil
}

func (c *Client) reply(ep Endpoint, r batchReply) BatchAnswer {
	a := BatchAnswer{Status: r.Status, Header: http.Header{}, Body: r.Body}
	for name, value := range r.Headers {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value) // some services send a bare number
		}
		a.Header.Set(name, text)
	}
	if r.Status >= 200 && r.Status <= 299 {
		return a
	}
	e := failure(ep, r.Status, a.Header, r.Body)
	a.RetryAfter = e.RetryAfter
	if e.Kind == KindThrottled {
		e.RetryAfter = c.budgets[endpoints[ep].scope].throttled(e.RetryAfter)
	}
	a.Err = e
	return a
}
