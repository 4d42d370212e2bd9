package inventory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// agingShare is how much of its age a file may reach before that is a warning: an
// export that is late already will not come sooner.
const agingShare = 0.95

// Examine implements [source.Examiner]: it reads the whole file, and says how many
// records can be used and how old it is.
func (s *Source) Examine(ctx context.Context) source.Examination {
	var x source.Examination
	var devices, users, bad int
	var first string
	got, err := s.read(ctx, s.parser(sink{
		device: func(v decision.Verdict) {
			if devices++; x.Sample == nil && len(v.Keys) > 0 {
				x.Sample = append([]decision.Key(nil), v.Keys...)
			}
		},
		user: func(decision.UserRecord) { users++ },
		bad: func(place string, err error) {
			if bad++; first == "" {
				first = place
				if err != nil {
					first += ": " + err.Error()
				}
			}
		},
	}))
	if err != nil {
		x.Sample = nil
		x.Add(judgeFile(err))
		return x
	}
	x.Add(checkup.Ok(checkup.CheckFile, fmt.Sprintf("the file can be read (%d bytes)", got.stamp.size)))
	x.Add(judgeRows(devices, users, bad, first))
	if skipped := got.skipped.list(); len(skipped) > 0 {
		x.Add(judgeWords(skipped))
	}
	x.Add(s.judgeAge(got))
	return x
}

func judgeFile(err error) checkup.Finding {
	fix := "look at the export: a good file is complete, and moved into place in one step"
	switch {
	case errors.Is(err, os.ErrNotExist):
		fix = "check the path, and that the export ran"
	case errors.Is(err, os.ErrPermission):
		fix = "let the user of the gateway read the file and its directories"
	}
	return checkup.Fail(checkup.CheckFile, err.Error(), fix)
}

func judgeRows(devices, users, bad int, first string) checkup.Finding {
	text := fmt.Sprintf("%d devices", devices)
	if users > 0 {
		text += fmt.Sprintf(" and %d users", users)
	}
	const fix = "mend the rows; a gateway rejects a file with too many bad ones (guard_bad_rows)"
	switch {
	case devices == 0:
		return checkup.Fail(checkup.CheckRows, "the file has no usable device", fix)
	case bad > 0:
		return checkup.Warn(checkup.CheckRows, fmt.Sprintf("%s, and %d records that cannot be used; the first is %s", text, bad, first), fix)
	}
	return checkup.Ok(checkup.CheckRows, text+", and no bad record")
}

func judgeWords(skipped []Skipped) checkup.Finding {
	return checkup.Warn(checkup.CheckRows, "values that count as unknown: "+describe(skipped),
		"correct these words in what writes the file: what is unknown about a device does not count as good")
}

func (s *Source) judgeAge(got *reading) checkup.Finding {
	now := s.o.Now()
	date := got.stamp.modified
	if !got.generated.IsZero() && got.generated.Before(date) {
		date = got.generated
	}
	age := now.Sub(date)
	text := fmt.Sprintf("the file is %s old, of at most %s (max_file_age)", short(max(age, 0)), short(s.o.MaxFileAge))
	const fix = "look at the export that writes it; without a new file its devices are undecided once stale_if_error of the policy is over"
	switch {
	case age > s.o.MaxFileAge:
		return checkup.Fail(checkup.CheckAge, text, fix)
	case age < -clockSkew:
		return checkup.Warn(checkup.CheckAge, fmt.Sprintf("the file's date %s is in the future", date.UTC().Format(time.RFC3339)), "check the clocks of this machine and of the one that writes the file")
	case float64(age) > agingShare*float64(s.o.MaxFileAge):
		return checkup.Warn(checkup.CheckAge, text, fix)
	}
	return checkup.Ok(checkup.CheckAge, text)
}

var _ source.Examiner = (*Source)(nil)
