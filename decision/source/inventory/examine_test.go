package inventory

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

func TestExamine(t *testing.T) {
	for name, tc := range map[string]struct {
		content string
		age     time.Duration
		prepare func(*file)
		check   string
		state   checkup.State
		text    string
	}{
		"well":       {plainOne, time.Hour, nil, checkup.CheckRows, checkup.OK, "1 devices, and no bad record"},
		"age":        {plainOne, time.Hour, nil, checkup.CheckAge, checkup.OK, "1h old, of at most 26h"},
		"size":       {plainOne, time.Hour, nil, checkup.CheckFile, checkup.OK, "31 bytes"},
		"too old":    {plainOne, 60 * time.Hour, nil, checkup.CheckAge, checkup.Fault, "60h old"},
		"nearly old": {plainOne, 25*time.Hour + 30*time.Minute, nil, checkup.CheckAge, checkup.Warning, "25h30m old"},
		"future":     {plainOne, -time.Hour, nil, checkup.CheckAge, checkup.Warning, "in the future"},
		"bad rows":   {"serial,compliance\nx1,compliant\n,compliant\n", time.Hour, nil, checkup.CheckRows, checkup.Warning, "1 records that cannot be used; the first is line 3"},
		"no rows":    {"serial,compliance\n", time.Hour, nil, checkup.CheckRows, checkup.Fault, "no usable device"},
		"empty":      {"", time.Hour, nil, checkup.CheckFile, checkup.Fault, "empty"},
		"cut off":    {`{"version":1,"devices":[{"ids":{"serial":"x1"}}`, time.Hour, nil, checkup.CheckFile, checkup.Fault, ""},
		"missing":    {plainOne, time.Hour, func(f *file) { _ = os.Remove(f.path) }, checkup.CheckFile, checkup.Fault, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFile(t, tc.content)
			f.date(f.now.Add(-tc.age))
			if tc.prepare != nil {
				tc.prepare(f)
			}
			s := f.source(Options{})
			x := s.Examine(t.Context())
			ok := false
			for _, got := range x.Findings {
				ok = ok || got.Check == tc.check && got.State == tc.state && strings.Contains(got.Text, tc.text)
			}
			if !ok {
				t.Errorf("want %s %s %q, got %+v", tc.check, tc.state, tc.text, x.Findings)
			}
			if s.good != nil {
				t.Error("the examination counts as a read")
			}
		})
	}
}
