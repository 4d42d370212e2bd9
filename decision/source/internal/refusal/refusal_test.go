package refusal

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		expect := func(credential string, want time.Duration) {
			t.Helper()
			if got := m.Wait(credential); got != want {
				t.Fatalf("wait of %q is %s, want %s", credential, got, want)
			}
		}
		expect("a", 0)
		m.Note("a")
		want := FirstPause
		for range 8 {
			expect("a", want)
			expect("b", 0)
			m.Note("a") // was under way
			expect("a", want)
			time.Sleep(want)
			expect("a", 0)
			m.Note("a")
			want = min(2*want, LongestPause)
		}
		m.Note("b")
		expect("b", FirstPause)
		expect("a", 0)
		time.Sleep(FirstPause + LongestPause + 1) // it was good meanwhile
		m.Note("b")
		expect("b", FirstPause)
		m.Note("")
		expect("", 0) // who sends none is not refused for it
	})
}
