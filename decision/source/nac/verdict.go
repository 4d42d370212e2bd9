package nac

import (
	"errors"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

var (
	errOther = errors.New("answer is about another device")
	errNoID  = errors.New("answer does not say which device it is about")
)

// judge turns an answer into a verdict. Every record must be about the device that
// was asked for. The service always answers both, and has a word of its own for a
// device that nobody evaluated: what is unknown here could not be read.
func (s *Source) judge(rows []row, key decision.Key) (decision.Verdict, error) {
	for i := range rows {
		if err := rows[i].about(key); err != nil {
			return decision.Verdict{}, err
		}
	}
	var v decision.Verdict
	known := false
	for i := range rows {
		managed := s.boolean("register_status", rows[i].registered)
		if managed == decision.No {
			continue
		}
		compliance := s.compliance(rows[i].status)
		if managed == decision.Unknown && compliance == decision.Compliant {
			compliance = decision.ComplianceUnknown // good news of a device that may not be registered
		}
		if !known {
			v.Managed, v.Compliance = managed, compliance
		} else {
			s.agree("register_status", v.Managed == managed)
			s.agree("compliance status", v.Compliance == compliance)
			v.Managed, v.Compliance = lesser(v.Managed, managed), worse(v.Compliance, compliance)
		}
		known = true
	}
	if !known {
		return decision.Verdict{}, source.ErrUnknownDevice
	}
	v.Keys = []decision.Key{key}
	if v.Managed == decision.Unknown {
		v.Unreadable |= decision.Facts(decision.FactManaged)
	}
	if v.Compliance == decision.ComplianceUnknown {
		v.Unreadable |= decision.Facts(decision.FactCompliance)
	}
	s.count(func(st *Stats) {
		st.Found++
		st.Duplicates += len(rows) - 1
	})
	if len(rows) > 1 {
		s.o.Logger.Warn("compliance retrieval service has several records of one device", "intune_id", key.Value, "records", len(rows))
	}
	return v, nil
}

// about checks each id that the record gives: outside and inside of its attributes.
func (r *row) about(key decision.Key) error {
	if len(r.ids) == 0 {
		return errNoID
	}
	for _, id := range r.ids {
		if k, ok := decision.CanonicalKey(decision.KindIntune, id); !ok || k != key {
			return errOther
		}
	}
	return nil
}

// compliance maps compliance/status. Newly enrolled devices that no policy was
// evaluated for are unknown to the service.
func (s *Source) compliance(l leaf) decision.Compliance {
	if strings.EqualFold(l.text, "unknown") {
		return decision.ComplianceNotEvaluated
	}
	switch s.boolean("compliance status", l) {
	case decision.Yes:
		return decision.Compliant
	case decision.No:
		return decision.NonCompliant
	}
	return decision.ComplianceUnknown
}

// boolean reads an XML Schema boolean, in any case of its letters.
func (s *Source) boolean(field string, l leaf) decision.Tri {
	switch strings.ToLower(l.text) {
	case "true", "1":
		return decision.Yes
	case "false", "0":
		return decision.No
	case "":
		s.problem(field, "missing")
	default:
		s.problem(field, "no boolean")
	}
	return decision.Unknown
}

// agree counts what two records of one device say differently.
func (s *Source) agree(field string, same bool) {
	if !same {
		s.problem(field, "rows disagree")
	}
}

// lesser and worse join two records of one device towards caution.
func lesser(a, b decision.Tri) decision.Tri {
	if a == b {
		return a
	}
	return decision.Unknown
}

func worse(a, b decision.Compliance) decision.Compliance {
	switch {
	case a == b:
		return a
	case a == decision.NonCompliant || b == decision.NonCompliant:
		return decision.NonCompliant
	case a == decision.Compliant:
		return b
	}
	return a
}
