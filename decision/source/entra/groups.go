package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// maxGroupIDs is how many groups one checkMemberGroups takes.
const maxGroupIDs = 20

// GroupTenant implements [source.GroupLooker].
func (s *Source) GroupTenant() string { return s.o.GroupTenant }

// MemberGroups implements [source.GroupLooker] by checkMemberGroups, which tells of
// the given groups those that a user is in, by whatever way. Nobody learns the
// hundreds of others. Several calls go in one $batch.
func (s *Source) MemberGroups(ctx context.Context, users, groups []string, urgent bool) ([]source.GroupAnswer, error) {
	if err := s.checkTenant(ctx); err != nil {
		return nil, err
	}
	answers := make([]source.GroupAnswer, len(users))
	var calls []msgraph.Request
	var whose []int // the user that a call is about
	for i, user := range users {
		oid, ok := parseGUID(user)
		if !ok { // also: nothing but a GUID may become part of the path
			answers[i].Err = fmt.Errorf("entra: not an id of the directory: %w", source.ErrUnknownUser)
			continue
		}
		for part := range slices.Chunk(groups, maxGroupIDs) {
			calls = append(calls, checkGroups(oid, part, urgent))
			whose = append(whose, i)
		}
	}
	take := func(i int, body []byte, err error) {
		a := &answers[whose[i]]
		if err == nil {
			var more []string
			more, err = decodeGroups(body)
			a.Groups = append(a.Groups, more...)
		} else if noSuchObject(err) {
			err = fmt.Errorf("entra: user %s: %w", users[whose[i]], source.ErrUnknownUser)
		}
		if err != nil && a.Err == nil {
			a.Err = fmt.Errorf("entra groups of a user: %w", err)
		}
	}
	if len(calls) == 1 {
		answer, err := s.o.Client.Do(ctx, calls[0])
		var body []byte
		if err == nil {
			body = answer.Body
		}
		take(0, body, err)
		return answers, nil
	}
	batch, err := s.o.Client.Batch(ctx, calls)
	if err != nil {
		return nil, fmt.Errorf("entra groups of users: %w", err)
	}
	for i := range batch {
		take(i, batch[i].Body, batch[i].Err)
	}
	return answers, nil
}

func checkGroups(user guid, groups []string, urgent bool) msgraph.Request {
	priority := "Low"
	if urgent {
		priority = "High"
	}
	return msgraph.Request{
		Endpoint: msgraph.MemberGroups, Method: "POST", Path: "/v1.0/users/" + user.String() + "/checkMemberGroups",
		Body: map[string][]string{"groupIds": groups}, Priority: priority,
	}
}

// checkTenant makes sure that our own token is of the tenant that was configured. A
// managed identity brings its own, whatever the configuration says.
func (s *Source) checkTenant(ctx context.Context) error {
	claims, _, err := s.o.Client.Token(ctx, msgraph.Graph)
	if err != nil {
		return fmt.Errorf("entra groups of users: %w", err)
	}
	got, ok := parseGUID(claims.TenantID)
	if !ok { // perhaps another one's, where an object id means nothing
		return errors.New("entra groups of users: the token of the credential does not say which tenant it is of")
	}
	if got.String() != s.o.GroupTenant {
		return errors.New("entra groups of users: the credential belongs to another tenant than the configured one; correct the tenant")
	}
	return nil
}

// decodeGroups reads the ids of an answer. One that is no id is nobody's group; an
// answer without a list is none.
func decodeGroups(body []byte) ([]string, error) {
	var answer struct {
		Value *[]text `json:"value"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Value == nil {
		return nil, errors.New(`answer has no "value" array`)
	}
	var ids []string
	for _, v := range *answer.Value {
		if id, ok := parseGUID(v.value); ok {
			ids = append(ids, id.String())
		}
	}
	return ids, nil
}

var _ source.GroupLooker = (*Source)(nil)
