package revocation

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// killEnv names the journal in a process that runs addForever.
const killEnv = "REVOCATION_TEST_JOURNAL"

// addForever adds entries, releases every second one, and says so after each
// answer, until it is killed.
func addForever(path string) {
	ctx := context.Background()
	l, err := Open(path, Options{})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	l.minDead = 30 // so that a kill hits rewrites too
	for i := 0; ; i++ {
		e, err := l.Add(ctx, userEntry(fmt.Sprint("user ", os.Getpid(), i)))
		answer := "added"
		if err == nil && i%2 == 0 {
			err = l.Release(ctx, e.ID, e.Owner)
			answer = "released"
		}
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(answer, e.ID)
	}
}

// A process killed right after an answer has kept its word.
func TestKilledAfterAnswer(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := newPath(t)
	answers := map[string]string{} // by id
	for round := range 15 {
		killAfter(t, self, path, 7+round*5, answers)
		l := openList(t, path, Options{}) // also proves that the lock died too
		have := map[string]bool{}
		for _, e := range l.Entries(time.Now()) {
			have[e.ID] = true
		}
		closeList(t, l)
		for id, answer := range answers {
			if have[id] != (answer == "added") {
				t.Fatalf("round %d: entry %s was %s, in force: %v", round, id, answer, have[id])
			}
		}
	}
}

// killAfter runs addForever, kills it after n answers, and records the answers.
func killAfter(t *testing.T, self, path string, n int, answers map[string]string) {
	t.Helper()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), killEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Answers that were given before the kill came are still in the pipe.
	lines, seen := bufio.NewScanner(out), 0
	for lines.Scan() {
		answer, id, _ := strings.Cut(lines.Text(), " ")
		if answer != "added" && answer != "released" {
			t.Errorf("child: %s", lines.Text())
		}
		answers[id] = answer
		if seen++; seen == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if seen < n {
		t.Fatalf("child ended after %d answers", seen)
	}
}
