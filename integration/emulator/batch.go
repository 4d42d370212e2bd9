package emulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
)

// maxBatch is how many requests a $batch takes.
const maxBatch = 20

type batchRequest struct {
	ID, Method, URL string
	Headers         map[string]string
	Body            json.RawMessage
}

type batchResponse struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

// runBatch answers $batch: every part has its own permission, limit, fault and status.
func (c *call) runBatch() {
	var in struct{ Requests []batchRequest }
	err := json.Unmarshal(c.input, &in)
	if err != nil || len(in.Requests) == 0 || len(in.Requests) > maxBatch {
		c.refuse(http.StatusBadRequest, "BadRequest", "a batch must have 1 to 20 requests")
		return
	}
	seen := map[string]bool{}
	answers := make([]batchResponse, 0, len(in.Requests))
	for _, p := range in.Requests {
		if p.ID == "" || seen[p.ID] || !strings.HasPrefix(p.URL, "/") || strings.HasPrefix(p.URL, "/$batch") {
			c.refuse(http.StatusBadRequest, "BadRequest", "request ids must be present and unique, and urls relative")
			return
		}
		seen[p.ID] = true
		answers = append(answers, c.part(p))
	}
	for i, j := 0, len(answers)-1; i < j; i, j = i+1, j-1 { // answers come in any order
		answers[i], answers[j] = answers[j], answers[i]
	}
	c.json(map[string]any{"responses": answers})
}

func (c *call) part(p batchRequest) batchResponse {
	version := "/graph/v1.0"
	if c.beta {
		version = "/graph/beta"
	}
	r, err := http.NewRequestWithContext(c.r.Context(), strings.ToUpper(p.Method), c.base+version+strings.ReplaceAll(p.URL, " ", "%20"), bytes.NewReader(p.Body))
	if err != nil {
		return batchResponse{ID: p.ID, Status: http.StatusBadRequest, Headers: map[string]string{}}
	}
	for k, v := range p.Headers {
		r.Header.Set(k, v)
	}
	r.Header.Set("Authorization", c.r.Header.Get("Authorization"))
	w := httptest.NewRecorder()
	c.s.serve(w, r, true)
	a := batchResponse{ID: p.ID, Status: w.Code, Headers: map[string]string{}}
	for _, k := range []string{"Content-Type", "Retry-After", "Location", "request-id", "x-ms-resource-unit"} {
		if v := w.Header().Get(k); v != "" {
			a.Headers[k] = v
		}
	}
	if body := w.Body.Bytes(); json.Valid(body) {
		a.Body = body
	} else if len(body) > 0 {
		a.Body, _ = json.Marshal(string(body))
	}
	return a
}
