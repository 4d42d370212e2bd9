package httpjson

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Examine implements [source.Examiner]: it asks for a device that nobody has, and
// for the first page of the list, whatever of the two is configured.
func (p *point) Examine(ctx context.Context) source.Examination {
	var x source.Examination
	if p.device != nil {
		x.Add(p.examineLookup(ctx))
	}
	if p.listing.url != nil {
		p.examineList(ctx, &x)
	}
	x.Add(p.client.peer.Clock(), p.client.peer.Certificate(p.now()))
	return x
}

// stranger is an id of a kind that no device has.
func stranger(kind string) decision.Key {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := hex.EncodeToString(b[:])
	if k, ok := decision.CanonicalKey(kind, "NOBODY"+text[:10]); ok {
		return k
	}
	guid := fmt.Sprintf("%s-%s-%s-%s-%s", text[:8], text[8:12], text[12:16], text[16:20], text[20:])
	k, _ := decision.CanonicalKey(kind, guid)
	return k
}

func (p *point) examineLookup(ctx context.Context) checkup.Finding {
	key := stranger(p.kinds[0])
	_, err := p.ask(ctx, key)
	switch {
	case errors.Is(err, source.ErrUnknownDevice), errors.Is(err, source.ErrUnusable):
		return checkup.Ok(checkup.CheckAnswer, "the service answers, and does not know a device that nobody has")
	case err == nil:
		return checkup.Fail(checkup.CheckAnswer, fmt.Sprintf("the service answers a question about a %s id that no device has with a device", key.Kind),
			"check the url: the service may ignore the id in it; map the id of the device so that the answer can be compared")
	}
	return judge(err)
}

func (p *point) examineList(ctx context.Context, x *source.Examination) {
	sweep := source.NewSweep(0)
	pg := page{address: p.listing.address(0, 0), number: 1}
	err := p.readPage(ctx, &pg, sweep)
	if err != nil {
		x.Add(judge(err))
		return
	}
	if pg.lead != (decision.Key{}) {
		x.Sample = []decision.Key{pg.lead}
	}
	bad, rows := sweep.BadRows()
	switch {
	case pg.rows == 0:
		x.Add(checkup.Warn(checkup.CheckDevices, "the list is empty", "check what the account may see, and items"))
	case bad == pg.rows:
		x.Add(checkup.Fail(checkup.CheckRows, fmt.Sprintf("none of the %d devices of the first page can be used; the first %s", bad, rows[0].Error), "check the map of ids"))
	case bad > 0:
		x.Add(checkup.Warn(checkup.CheckRows, fmt.Sprintf("%d of the %d devices of the first page cannot be used; the first (%s) %s", bad, pg.rows, rows[0].Place, rows[0].Error), "check the map of ids"))
	default:
		x.Add(checkup.Ok(checkup.CheckRows, fmt.Sprintf("all %d devices of the first page can be used", pg.rows)))
	}
	for _, u := range p.Unknowns() {
		if pg.rows > 0 && u.Count >= uint64(pg.rows) {
			x.Add(checkup.Warn(checkup.CheckRows, fmt.Sprintf("%s is unknown of every device of the first page: %s", u.Field, u.Reason), "check the map of this field"))
		}
	}
}

// judge makes a finding of a call that failed.
func judge(err error) checkup.Finding {
	_, throttled := errors.AsType[*source.ThrottledError](err)
	_, network := errors.AsType[net.Error](err)
	why, untrusted := checkup.Untrusted(err)
	switch {
	case throttled:
		return checkup.Warn(checkup.CheckHeadroom, "the service asks us to wait: "+err.Error(), "ask less often (poll), or for a higher limit")
	case untrusted:
		return checkup.Fail(checkup.CheckCertificate, err.Error()+": "+why, "name the authority of the service in ca_file, and use the name in the certificate")
	case errors.Is(err, errUnauthorized):
		return checkup.Fail(checkup.CheckSignIn, err.Error(), "check the credential of the source")
	case errors.Is(err, errForbidden):
		return checkup.Fail(checkup.CheckPermission, err.Error(), "let the account read devices")
	case errors.Is(err, errNotFound):
		return checkup.Fail(checkup.CheckAnswer, "the service has no such list", "check the url of the list")
	case network, errors.Is(err, context.DeadlineExceeded):
		return checkup.Fail(checkup.CheckReach, err.Error(), "check name resolution, the proxy and the firewall between this machine and the service")
	}
	return checkup.Fail(checkup.CheckAnswer, err.Error(), "check the url, item, items and map")
}

var (
	_ source.Examiner = looking{}
	_ source.Examiner = listed{}
	_ source.Examiner = full{}
)
