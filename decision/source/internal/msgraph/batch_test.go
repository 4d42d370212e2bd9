package msgraph

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBatch(t *testing.T) {
	f := &fake{serve: inOrder(with(200, `{"responses":[
		{"id":"2","status":429,"headers":{"Retry-After":"3.5"},"body":{"error":{"code":"TooManyRequests","message":"slow down"}}},
		{"id":"0","status":200,"headers":{"Content-Type":"application/json"},"body":{"value":[{"state":"nonCompliant"}]}},
		{"id":"1","status":404,"headers":{},"body":{"error":{"code":"ResourceNotFound","message":"none"}}}]}`))}
	inBubble(t, f, func(t *testing.T, c *Client) {
		answers, err := c.Batch(t.Context(), []Request{
			{Endpoint: IntuneDevices, Path: "/v1.0/deviceManagement/managedDevices/a/deviceCompliancePolicyStates", Query: map[string][]string{"$top": {"5"}}},
			{Endpoint: IntuneDevices, Path: "/v1.0/deviceManagement/managedDevices/b/deviceCompliancePolicyStates"},
			{Endpoint: MemberGroups, Method: "POST", Path: "/v1.0/users/u/checkMemberGroups", Body: map[string][]string{"groupIds": {"g"}}},
			{Endpoint: IntuneDevices, Path: "/v1.0/deviceManagement/managedDevices/c/users"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if answers[0].Err != nil || string(answers[0].Body) != `{"value":[{"state":"nonCompliant"}]}` {
			t.Errorf("first %+v", answers[0])
		}
		wantKind(t, answers[1].Err, KindNotFound)
		if e := wantKind(t, answers[2].Err, KindThrottled); e.Endpoint != MemberGroups || answers[2].RetryAfter != 3500*time.Millisecond {
			t.Errorf("third %+v", answers[2])
		}
		wantKind(t, answers[3].Err, KindAnswer) // left out
		if got := c.Headroom()[scopeDirectory].ThrottledUntil; !got.Equal(time.Now().Add(3500 * time.Millisecond)) {
			t.Errorf("directory is throttled until %v", got)
		}
		var sent struct{ Requests []batchCall }
		if err := json.Unmarshal([]byte(f.seen()[0].body), &sent); err != nil {
			t.Fatal(err)
		}
		if f.seen()[0].url != "https://graph.microsoft.com/v1.0/$batch" || sent.Requests[0].URL != "/deviceManagement/managedDevices/a/deviceCompliancePolicyStates?$top=5" ||
			sent.Requests[2].Headers["Content-Type"] != "application/json" || string(sent.Requests[2].Body) != `{"groupIds":["g"]}` {
			t.Errorf("sent %+v to %s", sent, f.seen()[0].url)
		}
	})
}

func TestBatchIsSplit(t *testing.T) {
	f := &fake{}
	f.serve = func(r *http.Request) (*http.Response, error) {
		var sent struct{ Requests []batchCall }
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &sent); err != nil || len(sent.Requests) > maxBatch {
			t.Errorf("%d calls in one batch, error %v", len(sent.Requests), err)
		}
		var out []string
		for _, q := range sent.Requests {
			out = append(out, fmt.Sprintf(`{"id":%q,"status":200,"body":{"url":%q}}`, q.ID, q.URL))
		}
		return answer(200, `{"responses":[`+strings.Join(out, ",")+`]}`), nil
	}
	inBubble(t, f, func(t *testing.T, c *Client) {
		var calls []Request
		for i := range 45 {
			calls = append(calls, Request{Endpoint: IntuneDevices, Path: fmt.Sprintf("/beta/x/%d", i)})
		}
		answers, err := c.Batch(t.Context(), calls)
		if err != nil || len(answers) != 45 || len(f.seen()) != 3 {
			t.Fatalf("%d answers by %d calls, error %v", len(answers), len(f.seen()), err)
		}
		for i, a := range answers {
			if want := fmt.Sprintf(`{"url":"/x/%d"}`, i); string(a.Body) != want {
				t.Errorf("answer %d is %s, want %s", i, a.Body, want)
			}
		}
		if got := c.Headroom()[scopeIntune].Spent; got != 45 {
			t.Errorf("spent %d, want 45", got)
		}
	})
}

func TestBatchRefuses(t *testing.T) {
	get := Request{Endpoint: IntuneDevices, Path: "/v1.0/x"}
	tests := map[string]struct {
		calls  []Request
		answer string
		want   Kind
	}{
		"other service":  {[]Request{{Endpoint: DefenderMachines, Path: "/api/machines"}}, ``, KindBadRequest},
		"two versions":   {[]Request{get, {Endpoint: IntuneDevices, Path: "/beta/x"}}, ``, KindBadRequest},
		"no responses":   {[]Request{get}, `{}`, KindAnswer},
		"unknown id":     {[]Request{get}, `{"responses":[{"id":"7","status":200}]}`, KindAnswer},
		"odd id":         {[]Request{get}, `{"responses":[{"id":"00","status":200}]}`, KindAnswer},
		"answered twice": {[]Request{get}, `{"responses":[{"id":"0","status":200},{"id":"0","status":200}]}`, KindAnswer},
		"no status":      {[]Request{get}, `{"responses":[{"id":"0"}]}`, KindAnswer},
		"garbage":        {[]Request{get}, `{"responses":`, KindAnswer},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fake{serve: inOrder(with(200, tt.answer))}
			inBubble(t, f, func(t *testing.T, c *Client) {
				_, err := c.Batch(t.Context(), tt.calls)
				wantKind(t, err, tt.want)
			})
		})
	}
}
