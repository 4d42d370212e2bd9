package entra

import (
	"fmt"

	"github.com/gatehouse-project/gatehouse/decision"
)

// A listing that loses the word about accountEnabled of more users than this is an
// accident, such as a permission that was taken away: both limits must be exceeded.
// Nobody whose account may be disabled gets in, so taking it over would lock people out.
const (
	maxSilent      = 19 // users
	maxSilentShare = 5  // one part of so many of all
)

// silentTooMany compares users without a word with all who should have one.
func silentTooMany(silent, all int) bool { return silent > maxSilent && silent > all/maxSilentShare }

// told counts the users of whom is known whether the account is enabled.
func (p *people) told() (n int) {
	for _, u := range p.known {
		if u.enabled != decision.Unknown {
			n++
		}
	}
	return n
}

// silent says why a complete listing cannot be trusted: it does not tell any more, or
// where nothing was known before it does not tell at all, whether accounts are enabled.
func (p *people) silent(before *people) error {
	all := before.told()
	if all == 0 {
		all = len(p.known)
		if n := all - p.told(); silentTooMany(n, all) {
			return fmt.Errorf("listing has no accountEnabled that can be read for %d of %d users; %s", n, all, silentHelp)
		}
		return nil
	}
	n := 0
	for oid, u := range p.known {
		if u.enabled == decision.Unknown && before.known[oid].enabled != decision.Unknown {
			n++
		}
	}
	if silentTooMany(n, all) {
		return fmt.Errorf("listing has no accountEnabled any more that can be read for %d of %d users; %s", n, all, silentHelp)
	}
	return nil
}

const silentHelp = "what was known before stays: check that the application has the permission User.Read.All, with admin consent"

// lose notes that a change took back what was known of an account.
func (p *people) lose(oid guid, was, is decision.Tri) {
	if is != decision.Unknown {
		delete(p.lost, oid)
		return
	}
	if was != decision.Unknown {
		if p.lost == nil {
			p.lost = map[guid]decision.Tri{}
		}
		p.lost[oid] = was
	}
}

// restore ends a poll for changes. If it lost the word about too many accounts, it puts
// back what was known of them, and reports of how many: then only a complete listing
// can say what is true.
func (p *people) restore() (lost int) {
	defer func() { p.lost = nil }()
	n := len(p.lost)
	if n <= maxSilent || !silentTooMany(n, p.told()+n) {
		return 0
	}
	for oid, was := range p.lost {
		if u, ok := p.known[oid]; ok {
			u.enabled = was
			p.known[oid] = u
		}
	}
	return n
}
