package intune

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// maxConfirm bounds the devices that are asked for one by one because a complete
// listing left them out.
const maxConfirm = 100

// confirm asks for devices that were known and are not listed any more. Lists of
// Intune were seen to end early without an error. A device that Intune still has
// stays. If there are more than can be asked for, a sample decides whether the
// whole listing can be believed.
func (s *Source) confirm(ctx context.Context, p *pass, fresh *fleet) error {
	s.mu.Lock()
	old := s.fleet.view()
	s.mu.Unlock()
	var missing []decision.Key
	for _, v := range old.rows {
		own := v.Keys[0]
		if _, ok := fresh.base.Find(own); !ok && !fresh.base.Ambiguous(own) {
			missing = append(missing, own)
		}
	}
	asked := missing
	if len(missing) > maxConfirm {
		asked = make([]decision.Key, maxConfirm)
		for i := range asked {
			asked[i] = missing[i*len(missing)/maxConfirm]
		}
	}
	if len(asked) == 0 {
		return nil
	}
	calls := make([]msgraph.Request, len(asked))
	for i, own := range asked {
		calls[i] = singleRequest(own.Value, "Low")
	}
	answers, err := s.o.Client.Batch(ctx, calls)
	if err != nil {
		return fmt.Errorf("devices that are no longer listed: %w", err)
	}
	for i, a := range answers {
		switch {
		case a.Err == nil:
			v, err := p.decode(a.Body)
			if err != nil || v.Keys[0] != asked[i] {
				return errors.New("answer about a device that is no longer listed cannot be used")
			}
			p.unlisted++
			s.mu.Lock()
			s.assess(&v, p.now)
			s.mu.Unlock()
			fresh.put(v)
		case kindOf(a.Err) != msgraph.KindNotFound:
			return fmt.Errorf("device that is no longer listed: %w", a.Err)
		}
	}
	if p.unlisted > 0 && len(asked) < len(missing) {
		return fmt.Errorf("listing is not complete: of %d devices that it left out, %d of %d exist", len(missing), p.unlisted, len(asked))
	}
	return nil
}

func singleRequest(id, priority string) msgraph.Request {
	return msgraph.Request{
		Endpoint: msgraph.IntuneDevices, Path: devicesPath + "/" + url.PathEscape(id),
		Query: url.Values{"$select": {selected}}, Priority: priority,
	}
}
