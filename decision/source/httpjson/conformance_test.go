package httpjson

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/sourcetest"
)

func TestConformance(t *testing.T) {
	allKinds := []string{decision.KindEntra, decision.KindIntune, decision.KindSerial}
	shapes := map[string]func(base string, o *Options){
		"look-up": func(base string, o *Options) {
			o.URL, o.Item, o.Kinds = base+"/devices/{kind}/{id}", "/device", allKinds
		},
		"search": func(base string, o *Options) {
			o.URL, o.Item, o.Kinds = base+"/search?by={kind}&id={id}", "/results", []string{decision.KindSerial}
		},
		"list by link": func(base string, o *Options) {
			o.ListURL, o.Items, o.Next = base+"/list", "/data/rows", "/next"
		},
		"list by token": func(base string, o *Options) {
			o.ListURL, o.Items, o.Next, o.NextParameter = base+"/list", "/data/rows", "/token", "offset"
		},
		"list by offset": func(base string, o *Options) {
			o.ListURL, o.Items = base+"/list?offset={offset}", "/data/rows"
		},
		"look-up and list": func(base string, o *Options) {
			o.URL, o.Item, o.Kinds = base+"/devices/{kind}/{id}", "/device", allKinds
			o.ListURL, o.Items, o.Next = base+"/list", "/data/rows", "/next"
		},
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T, devices []decision.Verdict) sourcetest.Fixture {
				t.Helper()
				s := newService(t, devices)
				o := Options{Bearer: "s3cret", RootCAs: s.pool(), Map: withRisk}
				shape(s.URL, &o)
				return sourcetest.Fixture{
					Source: build(t, o), Break: func() { s.broken.Store(true) }, Kinds: o.Kinds, Change: s.tell,
					Unsaid: map[decision.Fact]string{decision.FactManaged: "the mapping says of every device that it is managed"},
				}
			})
		})
	}
}
