package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestResultOfRefresh(t *testing.T) {
	for _, tt := range []struct {
		err    error
		result string
		wait   int
	}{
		{nil, "refreshed", 0},
		{fmt.Errorf("x: %w", source.ErrUnknownDevice), "unknown", 0},
		{fmt.Errorf("x: %w", &source.ThrottledError{RetryAfter: 1500 * time.Millisecond}), "throttled", 2},
		{&source.ThrottledError{}, "throttled", 0},
		{context.DeadlineExceeded, "timeout", 0},
		{context.Canceled, "timeout", 0},
		{source.ErrUnusable, "failed", 0},
		{errors.New("x"), "failed", 0},
	} {
		got := resultOf(tt.err)
		if got.result != tt.result || wholeSeconds(got.wait) != tt.wait {
			t.Errorf("%v: %+v, want %s, %d s", tt.err, got, tt.result, tt.wait)
		}
		if asked := tt.result == "refreshed" || tt.result == "unknown"; (got.err == nil) != asked {
			t.Errorf("%v: error %v", tt.err, got.err)
		}
	}
}

func TestPrintRefreshed(t *testing.T) {
	var b strings.Builder
	printRefreshed(&b, []RefreshedSource{{Source: "intune", Result: "refreshed"}, {Source: "entra", Result: "unknown"}, {Source: "nac", Result: "later"}})
	if b.Len() > 0 {
		t.Errorf("all were asked, and yet: %s", b.String())
	}
	printRefreshed(&b, []RefreshedSource{
		{Source: "intune", Result: "refreshed"},
		{Source: "defender", Result: "throttled", RetryAfter: 7, Error: "too\amany"},
		{Source: "nac", Result: "timeout"},
	})
	out := b.String()
	for _, want := range []string{"what they said before stays", "defender  throttled  ask again in 7 s", "nac       timeout"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "intune") || strings.Contains(out, "\a") {
		t.Errorf("output:\n%q", out)
	}
}
