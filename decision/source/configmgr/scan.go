package configmgr

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// maxArticles bounds the missing updates that are named to a person.
const maxArticles = 8

// scan sums up the rows of SMS_UpdateComplianceStatus about one device.
type scan struct {
	missing  bool // a row with status 2
	unknown  bool // a row with status 0, or one that is not understood
	odd      bool // one that is not understood
	done     bool // a row with status 1 or 3: the device was scanned
	articles []string
}

// empty reports whether no row was found.
func (s *scan) empty() bool { return !s.done && !s.missing && !s.unknown }

// updated is yes only if the device was scanned and nothing is missing or unknown.
func (s *scan) updated() decision.Tri {
	switch {
	case s.missing:
		return decision.No
	case s.done && !s.unknown:
		return decision.Yes
	}
	return decision.Unknown
}

func (s *scan) add(u *updateRow) {
	switch {
	case u.Status.is(updateMissing):
		s.missing = true
		if a := article(u); len(s.articles) < maxArticles && !slices.Contains(s.articles, a) {
			s.articles = append(s.articles, a)
		}
	case u.Status.is(updateNotRequired), u.Status.is(updateInstalled):
		s.done = true
	default:
		s.unknown, s.odd = true, s.odd || !u.Status.known
	}
}

// article names an update as people know it.
func article(u *updateRow) string {
	a := strings.TrimSpace(u.ArticleID.s)
	switch {
	case a == "" || len(a) > 32:
		return ""
	case a[0] >= '0' && a[0] <= '9':
		return "KB" + a
	}
	return a
}

// counts reports whether the update is one that counts. It is unknown of a row that
// does not say which update it is about.
func (s *Source) counts(u *updateRow) decision.Tri {
	a, isNumber := integer(strings.TrimPrefix(strings.ToUpper(u.ArticleID.s), "KB"))
	switch {
	case len(s.updates) == 0, u.CIID.known && s.updates[u.CIID.value], isNumber && s.updates[a]:
		return decision.Yes
	case !u.CIID.known, u.ArticleID.why != "":
		return decision.Unknown
	}
	return decision.No
}

// decode reads a row. Only a row that is no object fails.
func decode[T any](raw json.RawMessage) (T, error) {
	var row T
	err := json.Unmarshal(raw, &row)
	return row, err
}
