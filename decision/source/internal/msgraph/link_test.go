package msgraph

import "testing"

func TestCheckLink(t *testing.T) {
	f := &fake{}
	public, china := newClient(t, f.options()), f.options()
	china.Cloud = Cloud{Name: "china"}
	for _, tt := range []struct {
		name string
		c    *Client
		res  Resource
		link string
		want bool
	}{
		{"tenant's unit", public, Intune, "https://fef.msua01.manage.microsoft.com/x", true},
		{"other domain", public, Intune, "https://fef.msua01.manage.microsoft.com.example/x", false},
		{"no TLS", public, Intune, "http://fef.msua01.manage.microsoft.com/x", false},
		{"path alone", public, Intune, "/x", false},
		{"no link", public, Intune, "", false},
		{"service that the cloud lacks", newClient(t, china), Defender, "https://api.security.microsoft.com/x", false},
		{"no such resource", public, numResources, "https://graph.microsoft.com/x", false},
	} {
		if err := tt.c.CheckLink(tt.res, tt.link); (err == nil) != tt.want {
			t.Errorf("%s: %v, want allowed %v", tt.name, err, tt.want)
		}
	}
	if n := len(f.seen()); n != 0 {
		t.Errorf("%d calls", n)
	}
}
