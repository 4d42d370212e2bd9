package httpjson

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// good returns options that New accepts.
func good() Options {
	return Options{
		URL: "https://mdm.corp.example/devices/{id}", Kinds: []string{decision.KindSerial},
		Map: []Field{{Name: "serial", Pointer: "/serial"}, {Name: "compliance", Pointer: "/status"}},
	}
}

func TestNewRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(*Options)
		want   string
	}{
		"no url":                 {func(o *Options) { o.URL = "" }, "url of one device or of the list"},
		"no id":                  {func(o *Options) { o.URL = "https://a.example/devices" }, "url has no {id}"},
		"plain http":             {func(o *Options) { o.URL = "http://a.example/{id}" }, "loopback"},
		"other scheme":           {func(o *Options) { o.URL = "ftp://a.example/{id}" }, "scheme"},
		"id in host":             {func(o *Options) { o.URL = "https://{id}.a.example/" }, "before the path"},
		"id in port":             {func(o *Options) { o.URL = "https://a.example:{id}/" }, "before the path"},
		"unknown placeholder":    {func(o *Options) { o.URL = "https://a.example/{serial}" }, "{serial} is no placeholder"},
		"open placeholder":       {func(o *Options) { o.URL = "https://a.example/{id" }, "no placeholder"},
		"closing brace":          {func(o *Options) { o.URL = "https://a.example/{id}}" }, "contains"},
		"user in url":            {func(o *Options) { o.URL = "https://ann:pw@a.example/{id}" }, "contains a user"},
		"fragment":               {func(o *Options) { o.URL = "https://a.example/{id}#x" }, "fragment"},
		"control character":      {func(o *Options) { o.URL = "https://a.example/\n{id}" }, "contains"},
		"relative":               {func(o *Options) { o.URL = "/devices/{id}" }, "before the path"},
		"no kinds":               {func(o *Options) { o.Kinds = nil }, "kinds of device id"},
		"bad kind":               {func(o *Options) { o.Kinds = []string{"Serial Number"} }, "Serial Number"},
		"kind twice":             {func(o *Options) { o.Kinds = []string{"serial", "serial"} }, "twice"},
		"kinds without ids":      {func(o *Options) { o.Kinds = []string{"serial", "entra"}; o.Map = o.Map[1:] }, "more than one kind"},
		"bad item":               {func(o *Options) { o.Item = "device" }, "item: JSON pointer"},
		"401 as not found":       {func(o *Options) { o.NotFound = []int{401} }, "status 401"},
		"200 as not found":       {func(o *Options) { o.NotFound = []int{200} }, "status 200"},
		"503 as not found":       {func(o *Options) { o.NotFound = []int{404, 503} }, "status 503"},
		"items without list":     {func(o *Options) { o.Items = "/x" }, "list url"},
		"pages without list":     {func(o *Options) { o.MaxPages = 3 }, "list url"},
		"item without url":       {func(o *Options) { o.ListURL, o.URL, o.Item = "https://a.example/", "", "/x" }, "item"},
		"list without ids":       {func(o *Options) { o.ListURL = "https://mdm.corp.example/"; o.Map = o.Map[1:] }, "needs a field with an id"},
		"other origin":           {func(o *Options) { o.ListURL = "https://mdm.corp.example:8443/" }, "differ in scheme, host or port"},
		"offset and next":        {func(o *Options) { o.ListURL = "https://mdm.corp.example/?o={offset}"; o.Next = "/n" }, "needs no next"},
		"parameter without next": {func(o *Options) { o.ListURL = "https://mdm.corp.example/"; o.NextParameter = "n" }, "needs next"},
		"first without page":     {func(o *Options) { o.ListURL = "https://mdm.corp.example/"; o.FirstPage = 1 }, "{page}"},
		"next in the list":       {func(o *Options) { o.ListURL = "https://mdm.corp.example/"; o.Items, o.Next = "/a", "/a/0" }, "points into"},
		"id in list url":         {func(o *Options) { o.ListURL = "https://mdm.corp.example/{id}" }, "list url: {id}"},
		"negative timeout":       {func(o *Options) { o.Timeout = -1 }, "negative"},
		"two credentials":        {func(o *Options) { o.Bearer, o.Username, o.Password = "a", "b", "c" }, "more than one"},
		"user alone":             {func(o *Options) { o.Username = "ann" }, "together"},
		"password and its file":  {func(o *Options) { o.Username, o.Password, o.PasswordFile = "a", "b", "c" }, "more than one"},
		"file without user":      {func(o *Options) { o.PasswordFile = "c" }, "together"},
		"client secret twice": {func(o *Options) {
			o.ClientCredentials = &ClientCredentials{TokenURL: "https://a.example/", ClientID: "a", ClientSecret: "b", SecretFile: "c"}
		}, "or the file of one"},
		"colon in user": {func(o *Options) { o.Username, o.Password = "a:b", "c" }, "colon"},
		"broken bearer": {func(o *Options) { o.Bearer = "a b" }, "spaces"},
		"empty client":  {func(o *Options) { o.ClientCredentials = &ClientCredentials{TokenURL: "https://a.example/"} }, "client id"},
		"token over http": {func(o *Options) {
			o.ClientCredentials = &ClientCredentials{TokenURL: "http://a.example/", ClientID: "a", ClientSecret: "b"}
		}, "token url: http"},
		"authorization twice": {func(o *Options) { o.Bearer = "a"; o.Header = map[string]string{"authorization": "x"} }, "exclude"},
		"host header":         {func(o *Options) { o.Header = map[string]string{"host": "b.example"} }, "header Host"},
		"header injection":    {func(o *Options) { o.Header = map[string]string{"X-Key": "a\r\nX-B: c"} }, "value of header X-Key"},
		"header name":         {func(o *Options) { o.Header = map[string]string{"X Key": "a"} }, "malformed"},
		"header in two cases": {func(o *Options) { o.Header = map[string]string{"X-Key": "a", "x-key": "b"} }, "twice"},
		"unused root CAs":     {func(o *Options) { o.RootCAs, o.Transport = x509.NewCertPool(), http.DefaultTransport }, "root CAs"},
		"empty map":           {func(o *Options) { o.Map = nil }, "map is empty"},
		"long map":            {func(o *Options) { o.Map = make([]Field, MaxFields+1) }, "more than 64"},
		"many ids": {func(o *Options) {
			for _, k := range strings.Split("abcdefgh", "") {
				o.Map = append(o.Map, Field{Name: "id:" + k, Pointer: "/" + k})
			}
		}, "more than 8 ids"},
		"unknown field":       {func(o *Options) { o.Map[1].Name = "complaince" }, "map complaince: no such field"},
		"field twice":         {func(o *Options) { o.Map = append(o.Map, o.Map[1]) }, "compliance: is there twice"},
		"shared kind as own":  {func(o *Options) { o.Map[0].Name = "id:serial" }, "write serial"},
		"bad own kind":        {func(o *Options) { o.Map[0].Name = "id:Asset" }, "Asset"},
		"no place":            {func(o *Options) { o.Map[1].Pointer = "" }, "pointer or an expression"},
		"two places":          {func(o *Options) { o.Map[1].Expression = "doc.a" }, "not both"},
		"bad pointer":         {func(o *Options) { o.Map[1].Pointer = "/a~2" }, "~0 nor ~1"},
		"table for an id":     {func(o *Options) { o.Map[0].Values = map[string]string{"a": "b"} }, "no table"},
		"wrong table":         {func(o *Options) { o.Map[1].Values = map[string]string{"a": "complient"} }, "none of compliant"},
		"empty table":         {func(o *Options) { o.Map[1].Values = map[string]string{} }, "empty"},
		"broken expression":   {func(o *Options) { o.Map[1] = Field{Name: "compliance", Expression: "doc.a =="} }, "column"},
		"unknown variable":    {func(o *Options) { o.Map[1] = Field{Name: "compliance", Expression: "device.a"} }, "undeclared"},
		"constant compliance": {func(o *Options) { o.Map[1] = Field{Name: "compliance", Expression: `"compliant"`} }, "does not read doc"},
		"bool compliance":     {func(o *Options) { o.Map[1] = Field{Name: "compliance", Expression: `doc.a == "x"`} }, "gives bool"},
		"only constants":      {func(o *Options) { o.Map = []Field{{Name: "managed", Expression: "true"}} }, "reads nothing"},
		"number for a list":   {func(o *Options) { o.Map[1] = Field{Name: "settings", Expression: `size(doc.a)`} }, "gives int"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := good()
			tt.change(&o)
			_, err := New(o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestNewSaysByTypeWhatASourceCan(t *testing.T) {
	list := "https://mdm.corp.example/all"
	tests := map[string]struct {
		change       func(*Options)
		looks, lists bool
	}{
		"look-up": {func(*Options) {}, true, false},
		"list":    {func(o *Options) { o.URL, o.Kinds, o.ListURL = "", nil, list }, false, true},
		"both":    {func(o *Options) { o.ListURL = list }, true, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := good()
			tt.change(&o)
			s := build(t, o)
			_, looks := s.(source.Looker)
			_, lists := s.(source.Syncer)
			if looks != tt.looks || lists != tt.lists {
				t.Errorf("looks %v, lists %v; want %v, %v", looks, lists, tt.looks, tt.lists)
			}
			if got, want := s.Facts(), decision.Facts(decision.FactCompliance); got != want {
				t.Errorf("Facts = %b, want %b", got, want)
			}
		})
	}
}
