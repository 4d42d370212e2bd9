package caddymodule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// guest is what the configurations of all our sources have in common.
type guest struct {
	// Name labels the source in logs and metrics. Default: its kind.
	Name string `json:"name,omitempty"`
	// Guards hold back changes that look like an accident.
	Guards *Guards `json:"guards,omitempty"`

	Place string `json:"place,omitempty"`
}

// SetPlace implements [SourcePlacer].
func (g *guest) SetPlace(place string) { g.Place = place }

// words are the lines that every source takes in a Caddyfile.
func (g *guest) words(d *caddyfile.Dispenser) map[string]func(string) error {
	guards := func() *Guards {
		if g.Guards == nil {
			g.Guards = &Guards{}
		}
		return g.Guards
	}
	return map[string]func(string) error{
		"name": func(string) error {
			err := value(d, &g.Name)
			if err == nil && !sourceNameOK(g.Name) {
				err = d.Errf("%s", badSourceName(g.Name))
			}
			return err
		},
		"guards": func(string) error {
			var v string
			guards().Off = true
			return choice(d, &v, "off")
		},
		"guard_bad_rows": func(string) error { return shareAndCount(d, &guards().BadShare, &guards().BadRows) },
		"guard_changes":  func(string) error { return shareAndCount(d, &guards().ChangeShare, &guards().Changes) },
	}
}

// check finds what JSON could get wrong.
func (g *guest) check() error {
	if !sourceNameOK(g.Name) {
		return errors.New(badSourceName(g.Name))
	}
	v := g.Guards
	if v != nil && (v.BadShare < 0 || v.BadShare > 100 || v.ChangeShare < 0 || v.ChangeShare > 100 || v.BadRows < 0 || v.Changes < 0) {
		return errors.New("guards: a share is between 0 and 100 per cent, a count is not negative")
	}
	return nil
}

// limits are the guards as a runner takes them.
func (g *guest) limits() source.Guards {
	v := g.Guards
	if v == nil {
		return source.Guards{}
	}
	return source.Guards{
		Off: v.Off, BadShare: v.BadShare / 100, BadCount: v.BadRows,
		GoodNewsShare: v.ChangeShare / 100, RemovalShare: v.ChangeShare / 100, MinDevices: v.Changes,
	}
}

func (g *guest) nameOr(kind string) string {
	if g.Name == "" {
		return kind
	}
	return g.Name
}

func sourceNameOK(name string) bool {
	return len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.", r)
	})
}

func badSourceName(name string) string {
	return fmt.Sprintf("bad source name %.64q: letters, digits, _, - and . only", name)
}

// pollWord reads the time between two sweeps and keeps a slip of the unit from
// asking a service all the time.
func pollWord(d *caddyfile.Dispenser, to *caddy.Duration, least time.Duration) func(string) error {
	return func(string) error {
		err := duration(d, to)
		if err == nil {
			err = checkPoll(*to, least)
			if err != nil {
				err = d.Err(err.Error())
			}
		}
		return err
	}
}

func checkPoll(poll caddy.Duration, least time.Duration) error {
	if d := time.Duration(poll); d != 0 && d < least {
		return fmt.Errorf("poll is below %s", least)
	}
	return nil
}

// Guards are the limits beyond which a new version of a source is held. A share
// and a count must both be exceeded. Zero values take the defaults.
type Guards struct {
	Off         bool    `json:"off,omitempty"`
	BadShare    float64 `json:"bad_share,omitempty"`    // per cent of bad rows; default 1
	BadRows     int     `json:"bad_rows,omitempty"`     // default 5
	ChangeShare float64 `json:"change_share,omitempty"` // percentage points flipped or gone; default 20
	Changes     int     `json:"changes,omitempty"`      // default 20
}

// shareAndCount reads two words such as 12.5% 20.
func shareAndCount(d *caddyfile.Dispenser, share *float64, n *int) error {
	word := d.Val()
	args := d.RemainingArgs()
	if len(args) == 2 {
		percent, ok := strings.CutSuffix(args[0], "%")
		v, err := strconv.ParseFloat(percent, 64)
		c, err2 := strconv.Atoi(args[1])
		if ok && err == nil && err2 == nil && v > 0 && v <= 100 && c > 0 {
			*share, *n = v, c
			return nil
		}
	}
	return d.Errf("%s takes a share and a count, such as 20%% 20", word)
}
