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

// errNotOfUser says that an answer is about somebody else, or nobody.
var errNotOfUser = errors.New("answer is about another user")

// LookupUser implements [source.UserLooker] by Graph's users/{id} and, with
// [Options].RiskyUsers, identityProtection/riskyUsers/{id}. A user whom Identity
// Protection does not have is at no risk. While the risk cannot be read there is an
// error, and no record.
func (s *Source) LookupUser(ctx context.Context, objectID, upn string) (decision.UserRecord, error) {
	if !s.o.Users {
		return decision.UserRecord{}, errors.New("entra user: users are off")
	}
	name := objectID
	if name == "" {
		name = upn
	}
	// Part of a path: what is no name of anybody there is not asked for.
	if name == "" || len(name) > maxUPN || name[0] == '.' || strings.ContainsAny(name, "/\\") || strings.ContainsFunc(name, unprintable) {
		return decision.UserRecord{}, fmt.Errorf("entra user: %w", source.ErrUnknownUser)
	}
	answer, err := s.o.Client.Do(ctx, msgraph.Request{
		Endpoint: msgraph.DirectoryUsers, Path: "/v1.0/users/" + url.PathEscape(name), Query: url.Values{"$select": {userSelect}}, Priority: "Low",
	})
	if err != nil {
		if noSuchObject(err) {
			err = source.ErrUnknownUser
		}
		return decision.UserRecord{}, fmt.Errorf("entra user: %w", err)
	}
	row, oid, err := decodeUser(answer.Body)
	if err != nil {
		return decision.UserRecord{}, fmt.Errorf("entra user: %w", err)
	}
	t := &tally{}
	var p person
	p.enabled, _ = row.AccountEnabled.read("accountEnabled", t)
	if v, ok := row.UPN.read("userPrincipalName", t); ok {
		p.upn = display(v)
	}
	u := p.record(oid, true)
	if asked, ok := parseGUID(objectID); ok && asked != oid || objectID == "" && !strings.EqualFold(u.UPN, upn) {
		return decision.UserRecord{}, fmt.Errorf("entra user: %w", errNotOfUser)
	}
	if s.o.RiskyUsers {
		f, err := s.lookupRisk(ctx, oid)
		if err != nil {
			return decision.UserRecord{}, fmt.Errorf("entra user risk: %w", err)
		}
		f.tell(&u)
	}
	return u, nil
}

// lookupRisk asks what Identity Protection says about one user.
func (s *Source) lookupRisk(ctx context.Context, oid guid) (finding, error) {
	clean := finding{level: decision.LevelNone, compromised: decision.No}
	answer, err := s.o.Client.Do(ctx, msgraph.Request{
		Endpoint: msgraph.RiskyUsers, Path: riskPath + "/" + oid.String(), Query: url.Values{"$select": {riskSelect}}, Priority: "Low",
	})
	switch {
	case noSuchObject(err):
		return clean, nil
	case err != nil:
		return finding{}, err
	}
	who, f, risky, err := decodeRisk(answer.Body, &tally{})
	switch {
	case err != nil:
		return finding{}, err
	case who != oid:
		return finding{}, errNotOfUser
	case !risky:
		return clean, nil
	}
	return f, nil
}

var _ source.UserLooker = (*Source)(nil)
