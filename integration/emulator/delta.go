package emulator

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"
)

// deltaState is what an opaque link of a delta carries.
type deltaState struct {
	Start   uint64 `json:"s"`           // changes after this are to come
	From    int64  `json:"f,omitempty"` // row, or number of a change, to go on with
	Select  string `json:"q,omitempty"`
	Filter  string `json:"i,omitempty"`
	Issued  int64  `json:"t"`
	Changes bool   `json:"c,omitempty"` // the full pass is over
}

func (d deltaState) token() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseDelta(token string) (st deltaState, err error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(b, &st)
	}
	return st, err
}

// delta answers a change query: first the whole collection in pages, then what
// changed. A row may come more than once, as the service warns.
func (c *call) delta(col *collection, log *changeLog) {
	st, ok := c.deltaStart(col, log)
	if !ok {
		return
	}
	fields, unknown := col.selection(st.Select, false)
	if unknown != "" {
		c.refuse(http.StatusBadRequest, "Request_BadRequest", "Could not find a property named '"+unknown+"' on type '"+col.entity+"'.")
		return
	}
	var filter *condition
	if st.Filter != "" {
		if filter, ok = c.filter(st.Filter, col, false); !ok {
			return
		}
		only := true
		filter.each(func(k *condition) {
			only = only && (k.op == "or" || k.op == "eq" && k.field.name == "id")
		})
		if !only {
			c.refuse(http.StatusBadRequest, "Request_UnsupportedQuery", "delta supports only filters on id")
			return
		}
	}
	var rows []byte
	var more bool
	start := st
	if st.Changes {
		rows, more = c.changedRows(col, log, &st, fields, filter)
	} else {
		rows, more = c.allRows(col, &st, fields, filter)
	}
	c.body = append(c.body, `{"@odata.context":"`+c.base+c.route.metadata(c.beta)+col.context+`"`...)
	st.Issued = c.now.Unix()
	if more {
		c.deltaLink("@odata.nextLink", "$skiptoken", st)
	} else {
		end := deltaState{Start: start.Start, Select: st.Select, Filter: st.Filter, Issued: st.Issued, Changes: true}
		if st.Changes {
			end.Start = max(st.Start, uint64(st.From))
		}
		c.deltaLink("@odata.deltaLink", "$deltatoken", end)
	}
	c.body = append(append(append(c.body, `,"value":[`...), rows...), "]}"...)
	*c.spare = rows[:0]
}

// deltaLink carries the whole state, $select included, in its token.
func (c *call) deltaLink(name, option string, st deltaState) {
	c.body = append(c.body, `,"`+name+`":"`+c.base+c.r.URL.EscapedPath()+"?"+option+"="+st.token()+`"`...)
}

// deltaStart reads where to go on. It answers 410 for a token that is too old.
func (c *call) deltaStart(col *collection, log *changeLog) (st deltaState, ok bool) {
	q := c.query
	token := q.Get("$skiptoken") + q.Get("$deltatoken") + q.Get("$deltaToken")
	if token == "" || token == "latest" {
		for name := range q {
			switch name {
			case "$select", "$filter", "$deltatoken", "$deltaToken", "$skiptoken":
			default:
				return st, c.refuse(http.StatusBadRequest, "Request_UnsupportedQuery", "delta does not support the query option '"+name+"'")
			}
		}
		if col.needsSelect && q.Get("$select") == "" {
			c.violate("no $select")
		}
		return deltaState{Start: log.seq, Select: q.Get("$select"), Filter: q.Get("$filter"), Changes: token == "latest"}, true
	}
	st, err := parseDelta(token)
	if err != nil || st.Start > log.seq {
		return st, c.refuse(http.StatusBadRequest, "Directory_BadRequest", "The delta token is invalid.")
	}
	if c.now.Sub(time.Unix(st.Issued, 0)) > tokenLife || st.Start < log.floor {
		c.gone()
		return st, false
	}
	return st, true
}

// gone says that the client must begin anew, at a Location with an empty token.
func (c *call) gone() {
	sel := c.query.Get("$select")
	if st, err := parseDelta(c.query.Get("$skiptoken") + c.query.Get("$deltatoken")); err == nil {
		sel = st.Select
	}
	if sel != "" {
		sel = "$select=" + sel + "&"
	}
	c.w.Header().Set("Location", c.base+c.r.URL.EscapedPath()+"?"+sel+"$deltatoken=")
	c.fail(http.StatusGone, "resyncRequired", "Resync required. Replace any local items with the server's version.")
}

// allRows is a page of the full pass. The next page begins with the last row again.
func (c *call) allRows(col *collection, st *deltaState, fields []*field, filter *condition) (b []byte, more bool) {
	b = (*c.spare)[:0]
	n, last := 0, st.From
	col.each(c.s.fleet, st.From, func(key int64, r row) bool {
		if filter != nil && !filter.match(r) {
			return true
		}
		if n == col.page {
			more = true
			return false
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = append(appendFields(append(b, '{'), r, fields, true), '}')
		last = key
		return true
	})
	st.From = last
	return b, more
}

// changedRows is a page of changes: id and what changed of the selected fields, or
// @removed.
func (c *call) changedRows(col *collection, log *changeLog, st *deltaState, fields []*field, filter *condition) (b []byte, more bool) {
	b = (*c.spare)[:0]
	n := 0
	for _, ch := range log.after(max(st.Start, uint64(st.From))) {
		if n == col.page {
			return b, true
		}
		st.From = int64(ch.seq)
		r, present := c.changed(col, ch)
		changed := changedFields(col, fields, ch.mask)
		if ch.removed == "" && (!present || len(changed) == 0 || filter != nil && !filter.match(r)) {
			continue
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = ch.id.append(append(b, `{"id":"`...))
		b = append(b, '"')
		if ch.removed != "" {
			b = append(b, `,"@removed":{"reason":"`+ch.removed+`"}`...)
		} else {
			b = appendFields(append(b, ','), r, changed, true)
		}
		b = append(b, '}')
	}
	return b, false
}

// changed is the present row of a change; false when the object is gone since.
func (c *call) changed(col *collection, ch change) (row, bool) {
	f := c.s.fleet
	if col == userFields {
		u := f.users[ch.slot]
		return row{u: u}, u != nil && u.OID == ch.id
	}
	d := f.devices[ch.slot]
	return row{d: d}, d != nil && d.Directory != nil && d.Directory.ObjectID == ch.id
}

// changedFields are the selected fields in mask, without id.
func changedFields(col *collection, selected []*field, mask uint32) (list []*field) {
	for i := range col.fields {
		if i == 0 || mask&(1<<i) == 0 {
			continue
		}
		for _, f := range selected {
			if f == &col.fields[i] {
				list = append(list, f)
			}
		}
	}
	return list
}
