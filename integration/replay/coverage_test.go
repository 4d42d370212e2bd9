package replay

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// ownTest is a test of this package that makes one reason, and the status that it
// wants to see.
type ownTest struct {
	name   string
	status int
}

// ownTests are the reasons that need a gateway of their own.
var ownTests = map[decision.Reason]ownTest{
	decision.RevocationListUnavailable: {"TestRevocationListReason", http.StatusServiceUnavailable},
	decision.VerdictExpired:            {"TestVerdictExpiredReason", http.StatusServiceUnavailable},
}

// remoteOnly are the reasons that only a source behind a network can give: it
// throttles, or a look-up of one device takes too long. A file does neither, so
// that they are produced below HTTP, by the test named here, from a cause.
var remoteOnly = map[decision.Reason]struct {
	file  string
	cause decision.Cause
}{
	decision.SourceThrottled: {"../../decision/freshness_test.go", decision.CauseThrottled},
	decision.LookupTimeout:   {"../../decision/freshness_test.go", decision.CauseLookupTimeout},
}

// TestEveryReason fails when a reason of the catalogue is produced by no vector
// and by no test over HTTP.
func TestEveryReason(t *testing.T) {
	produced := map[string]string{}
	note := func(code, where string) {
		if other, twice := produced[code]; twice && !strings.HasSuffix(other, ".yaml") {
			t.Errorf("%s is on two lists: %s and %s", code, other, where)
		}
		produced[code] = where
	}
	for _, v := range load(t) {
		for _, code := range slices.Concat(v.Reasons, v.Warnings) {
			produced[code] = v.File
		}
	}
	for _, f := range faults {
		note(f.reason.Code(), "TestRequestReasons")
	}
	for r, test := range ownTests {
		note(r.Code(), test.name)
		holds(t, "requests_test.go", "func "+test.name+"(")
	}
	for r, remote := range remoteOnly {
		note(r.Code(), remote.file)
		holds(t, remote.file, r.Code())
	}
	for r := decision.NoReason + 1; r < decision.NumReasons; r++ {
		if produced[r.Code()] == "" {
			t.Errorf("nothing produces %s", r.Code())
		}
	}
}

// holds checks that a file exists and has a text in it.
func holds(t *testing.T, file, text string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	} else if !strings.Contains(string(b), text) {
		t.Errorf("%s does not hold %q", file, text)
	}
}
