package entra

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// Lookup implements [source.Looker] for the directory's deviceId and object id.
// Of any other kind of id it says [source.ErrUnknownDevice], for the directory has
// none such, except for those that it lists but finds no device by ([Source.CanLookup]).
func (s *Source) Lookup(ctx context.Context, key decision.Key) (decision.Verdict, error) {
	var path string
	switch key.Kind {
	case decision.KindEntra:
		path = "/v1.0/devices(deviceId='%s')"
	case decision.KindEntraObject:
		path = "/v1.0/devices/%s"
	default:
		if !s.CanLookup(key.Kind) {
			return decision.Verdict{}, fmt.Errorf("entra: a device cannot be asked for by an id of kind %s: %w", key.Kind, source.ErrUnusable)
		}
		return decision.Verdict{}, fmt.Errorf("entra: the directory has no ids of kind %s: %w", key.Kind, source.ErrUnknownDevice)
	}
	id, ok := parseGUID(key.Value)
	if !ok { // also: nothing but a GUID may become part of the path
		return decision.Verdict{}, fmt.Errorf("entra: not an id of the directory: %w", source.ErrUnknownDevice)
	}
	answer, err := s.o.Client.Do(ctx, msgraph.Request{
		Endpoint: msgraph.DirectoryDevices, Path: fmt.Sprintf(path, id),
		Query: url.Values{"$select": {s.deviceFields()}}, Priority: "High",
	})
	if err != nil {
		if noSuchObject(err) {
			return decision.Verdict{}, fmt.Errorf("entra: %s %s: %w", key.Kind, id, source.ErrUnknownDevice)
		}
		return decision.Verdict{}, fmt.Errorf("entra device: %w", err)
	}
	return s.single(answer.Body, key.Kind, id)
}

// CanLookup implements [source.LookupLimited]. The directory lists security
// identifiers and certificates but finds no device by them, so only a sweep can tell.
func (s *Source) CanLookup(kind string) bool {
	return kind != decision.KindSID && kind != decision.KindPinnedCertificate
}

// noSuchObject recognises the directory's own word for it: another 404 may come
// from a proxy, or mean that the path is wrong.
func noSuchObject(err error) bool {
	var me *msgraph.Error
	return errors.As(err, &me) && me.Kind == msgraph.KindNotFound &&
		strings.HasSuffix(strings.ToLower(me.Code), "resourcenotfound")
}

// single reads one device object. It must be the one that was asked for.
func (s *Source) single(body []byte, kind string, id guid) (decision.Verdict, error) {
	row, own, err := decodeDevice(body)
	if err != nil {
		return decision.Verdict{}, fmt.Errorf("entra device: %w", err)
	}
	d := newDevice(own)
	var counted tally
	d.merge(&row, s.o.Now(), &counted)
	row.lacks(&counted)
	s.count(&counted)
	d.setChannel(s.o.PartnerMDM)
	got := own
	if kind == decision.KindEntra {
		got, _ = d.id()
	}
	if got != id {
		return decision.Verdict{}, errors.New("entra device: answer is about another device")
	}
	return d.Verdict, nil
}
