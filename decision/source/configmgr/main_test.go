package configmgr

import (
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/service"
	"go.uber.org/goleak"
)

// The service side of gokrb5, which only tests use, has a goroutine that never ends:
// it is started first, and not counted.
func TestMain(m *testing.M) {
	service.GetReplayCache(5 * time.Minute)
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
