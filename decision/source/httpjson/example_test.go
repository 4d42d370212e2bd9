package httpjson_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/httpjson"
)

// An in-house inventory becomes an information point without code.
func ExampleNew() {
	inventory := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"results": [{"serialNumber": "C02XK1", "state": "OK", "score": 12, "filevault": true}]}`)
	}))
	defer inventory.Close()

	src, err := httpjson.New(httpjson.Options{
		URL:   inventory.URL + "/devices?serial={id}",
		Item:  "/results",
		Kinds: []string{decision.KindSerial},
		Map: []httpjson.Field{
			{Name: "serial", Pointer: "/serialNumber"},
			{Name: "compliance", Pointer: "/state", Values: map[string]string{"OK": "compliant", "FAILED": "noncompliant"}},
			{Name: "risk", Expression: `doc.score >= 70 ? "high" : doc.score >= 30 ? "medium" : "low"`},
			{Name: "encrypted", Pointer: "/filevault"},
			{Name: "managed", Expression: "true"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close()
	v, err := src.(source.Looker).Lookup(context.Background(), decision.Key{Kind: decision.KindSerial, Value: "C02XK1"})
	fmt.Println(v.Compliance, v.Risk, v.Encrypted, v.Managed, v.Jailbroken, err)
	// Output: compliant low yes yes unknown <nil>
}
