package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The devices of the examples.
const (
	goodID  = "11111111-1111-4111-8111-111111111111" // healthy
	badID   = "22222222-2222-4222-8222-222222222222" // not encrypted, firewall off
	graceID = "33333333-3333-4333-8333-333333333333" // noncompliant, but still in its grace period
	newID   = "44444444-4444-4444-8444-444444444444" // nobody knows it
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate DIR")
		os.Exit(2)
	}
	err := generate(os.Args[1], time.Now())
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
	fmt.Println("made keys, tokens, certificates and an inventory in", os.Args[1])
}

// generate fills a directory. What was in it under the same names is replaced.
func generate(dir string, now time.Time) error {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return err
	}
	out := folder(dir)
	for _, step := range []func(folder, time.Time) error{tokens, certificates, inventory, service, trial} {
		err := step(out, now)
		if err != nil {
			return err
		}
	}
	return nil
}

// folder writes files that only their owner can read.
type folder string

func (f folder) write(name string, body []byte) error {
	path := filepath.Join(string(f), name)
	err := os.WriteFile(path+".new", body, 0o600)
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// trial writes the last day of a report-only policy, for --envfile: 30 days from
// now, since a policy may not be on trial for more than 90.
func trial(f folder, now time.Time) error {
	return f.write("trial.env", []byte("TRIAL_UNTIL="+now.UTC().AddDate(0, 0, 30).Format(time.DateOnly)+"\n"))
}
