package revocation_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/revocation"
)

// A revoked device is locked out at once, also after a restart, until the same
// owner releases it.
func Example() {
	dir, err := os.MkdirTemp("", "revocation-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	list, err := revocation.Open(filepath.Join(dir, "revocations.jsonl"), revocation.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer list.Close()

	ctx := context.Background()
	laptop := decision.Key{Kind: decision.KindSerial, Value: "PF3K9ABC"}
	asks := &decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{laptop}}}
	entry, err := list.Add(ctx, revocation.Entry{Kind: revocation.KindDevice, Device: laptop, Reason: "stolen", Owner: "helpdesk"})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := list.Match(asks, nil, time.Now())
	fmt.Println(r.Subject, r.Reason)

	fmt.Println(list.Release(ctx, entry.ID, "somebody else"))
	fmt.Println(list.Release(ctx, entry.ID, "helpdesk"))
	fmt.Println(list.Match(asks, nil, time.Now()) == nil)
	// Output:
	// device stolen
	// revocation has another owner
	// <nil>
	// true
}
