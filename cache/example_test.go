package cache_test

import (
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/cache"
)

// Keys are structs, one field per dimension, so that no two subjects can share
// one. What is known not to exist is remembered too.
func Example() {
	type key struct{ tenant, device string }
	c, err := cache.New[key, string](cache.Options[key]{Capacity: 1000, NegativeTTL: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Put(key{"t1", "laptop"}, "compliant", time.Now().Add(time.Hour))
	c.PutNegative(key{"t1", "toaster"})

	for _, k := range []key{{"t1", "laptop"}, {"t2", "laptop"}, {"t1", "toaster"}} {
		value, result := c.Get(k)
		fmt.Printf("%s/%s: %s %q\n", k.tenant, k.device, result, value)
	}
	// Output:
	// t1/laptop: hit "compliant"
	// t2/laptop: miss ""
	// t1/toaster: negative ""
}
