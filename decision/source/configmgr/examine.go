package configmgr

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// siteFields are read of a site: its version is that of the AdminService.
var siteFields = []string{"SiteCode,Version"}

// siteRow is one SMS_Site.
type siteRow struct {
	SiteCode text
	Version  text
}

// Examine implements [source.Examiner]: whether the site can be reached and
// trusted, accepts our sign-in, lets us read every class that is used, and has a
// device.
func (s *Source) Examine(ctx context.Context) source.Examination {
	var x source.Examination
	row, err := s.first(ctx, classSystem, systemFields)
	if err != nil {
		x.Add(judgeCall(err))
		x.Add(s.client.peer.Clock())
		return x
	}
	x.Add(checkup.Ok(checkup.CheckSignIn, "the site accepts our sign-in"))
	x.Add(s.examineDevice(row, &x))
	denied := false
	for _, class := range s.otherClasses() {
		_, err := s.first(ctx, class.name, class.fields)
		if class.optional {
			err = without(err)
		}
		if err == nil {
			continue
		}
		f := judgeCall(err)
		if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindNotFound && class.name == classUpdates {
			f.Fix = "if the site does not scan for updates, say updates off"
		}
		x.Add(f)
		denied = true
	}
	if !denied {
		x.Add(checkup.Ok(checkup.CheckPermission, "every class that is needed can be read"))
	}
	x.Add(s.examineVersion(ctx), s.client.peer.Clock(), s.client.peer.Certificate(s.o.Now()))
	return x
}

// usedClass is a class that a sweep reads.
type usedClass struct {
	name     string
	fields   []string
	optional bool // a site may be without it
}

func (s *Source) otherClasses() []usedClass {
	list := []usedClass{{classResources, resourceFields, false}, {classComanagement, comanagementFields, true}}
	if !s.o.NoUpdates {
		list = append(list, usedClass{classUpdates, updateFields, false})
	}
	return list
}

// first reads one row of a class; nil if it has none.
func (s *Source) first(ctx context.Context, class string, fields []string) (row json.RawMessage, err error) {
	err = s.client.list(ctx, query{class: class, fields: fields, once: 1}, func(raw json.RawMessage) error {
		row = raw
		return nil
	})
	return row, err
}

func (s *Source) examineDevice(raw json.RawMessage, x *source.Examination) checkup.Finding {
	if raw == nil {
		return checkup.Warn(checkup.CheckDevices, "the site lists no device", "check the scope of the account: it may see all systems of the site")
	}
	row, err := decode[systemRow](raw)
	if err != nil || !row.ResourceID.known {
		return checkup.Fail(checkup.CheckAnswer, "a device of the site cannot be read: "+errNoResource.Error(), "report this with the version of the site")
	}
	r := newRecord(&row)
	for _, k := range r.keys {
		if k.Kind == decision.KindEntra && !row.gone() {
			x.Sample = r.keys
		}
	}
	return checkup.Ok(checkup.CheckDevices, "devices can be read")
}

// examineVersion asks for the version. An account may be without the right to it.
func (s *Source) examineVersion(ctx context.Context) checkup.Finding {
	raw, err := s.first(ctx, classSite, siteFields)
	if err != nil || raw == nil {
		return checkup.Skip(checkup.CheckVersion, "the site does not tell its version to this account")
	}
	row, err := decode[siteRow](raw)
	if err != nil || row.Version.s == "" {
		return checkup.Skip(checkup.CheckVersion, "the site does not tell its version")
	}
	return checkup.Ok(checkup.CheckVersion, "site "+clip(row.SiteCode.s)+" has version "+clip(row.Version.s))
}

const maxWord = 32

// clip bounds a word of the site.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxWord)], "") }

// judgeCall makes a finding of a call that failed.
func judgeCall(err error) checkup.Finding {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return checkup.Fail(checkup.CheckReach, "the site did not answer in time: "+err.Error(), "check name resolution and the firewall between this machine and the site")
	}
	f := checkup.Fail(checkup.CheckAnswer, e.Error(), "")
	switch e.Kind {
	case KindUnavailable:
		f.Check, f.Fix = checkup.CheckReach, "check name resolution and the firewall between this machine and the site, and the SMS Provider"
	case KindThrottled:
		f.Check, f.State, f.Fix = checkup.CheckHeadroom, checkup.Warning, "look at the load of the SMS Provider"
	case KindUnauthorized:
		f.Check, f.Fix = checkup.CheckSignIn, "check account and password or keytab; the account has to be an administrative user of the site"
	case KindSignIn:
		f.Check, f.Fix = checkup.CheckSignIn, "check keytab, realm, domain controllers and clock of this machine"
	case KindPermission:
		f.Check, f.Fix = checkup.CheckPermission, "make the account an administrative user of the site, with the role Read-only Analyst"
	case KindCertificate:
		f.Check, f.Fix = checkup.CheckCertificate, "export the root certificate of the site (SMS Issuing) and name it in ca_file; the url must use the name in the certificate"
	case KindNotFound:
		f.Fix = "the url must end in /AdminService, on the machine of the SMS Provider"
	case KindBadRequest, KindAnswer:
		f.Fix = "check that the url is that of an AdminService, version 1810 or later"
	}
	return f
}

var _ source.Examiner = (*Source)(nil)
