package source

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Refusal
		expect := func(credential string, want time.Duration) {
			t.Helper()
			if got := m.Wait(credential); got != want {
				t.Fatalf("wait of %q is %s, want %s", credential, got, want)
			}
		}
		expect("a", 0)
		m.Note("a")
		want := FirstRefusalPause
		for range 8 {
			expect("a", want)
			expect("b", 0)
			m.Note("a") // was under way
			expect("a", want)
			time.Sleep(want)
			expect("a", 0)
			m.Note("a")
			want = min(2*want, LongestRefusalPause)
		}
		m.Note("b")
		expect("b", FirstRefusalPause)
		expect("a", 0)
		time.Sleep(FirstRefusalPause + LongestRefusalPause + 1) // it was good meanwhile
		m.Note("b")
		expect("b", FirstRefusalPause)
		m.Note("")
		expect("", 0) // who sends none is not refused for it
	})
}
