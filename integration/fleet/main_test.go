package fleet

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
