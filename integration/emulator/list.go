package emulator

import (
	"net/http"
	"strconv"
	"strings"
)

// options are the parsed OData options of a list call.
type options struct {
	fields []*field
	filter *condition
	limit  int
	skip   int
	from   int64
	count  bool
}

// options reads the query for col. When it answers false the call is refused already.
func (c *call) options(col *collection) (o options, ok bool) {
	q := c.query
	for name := range q {
		switch name {
		case "$select", "$filter", "$top", "$skiptoken", "$count":
		case "$skip":
			if !col.skips {
				return o, c.refuse(http.StatusBadRequest, "BadRequest", "$skip is not reliable here: follow @odata.nextLink")
			}
		default:
			return o, c.refuse(http.StatusBadRequest, "BadRequest", "query option '"+name+"' is not supported")
		}
	}
	if col.needsSelect && q.Get("$select") == "" {
		c.violate("no $select")
		if c.s.o.Strict {
			c.fail(http.StatusBadRequest, "BadRequest", "strict: $select is missing")
			return o, false
		}
	}
	var unknown string
	if o.fields, unknown = col.selection(q.Get("$select"), c.beta); unknown != "" {
		return o, c.refuse(http.StatusBadRequest, "BadRequest", "Could not find a property named '"+unknown+"' on type '"+col.entity+"'.")
	}
	if o.limit, o.skip, ok = c.window(col); !ok {
		return o, false
	}
	if t := q.Get("$skiptoken"); t != "" {
		if o.from, ok = parseSkipToken(t); !ok {
			return o, c.refuse(http.StatusBadRequest, "BadRequest", "Skip token is invalid")
		}
	}
	eventual := strings.EqualFold(c.r.Header.Get("ConsistencyLevel"), "eventual")
	o.count = q.Get("$count") == "true"
	if o.count && col.advanced && !eventual {
		return o, c.refuse(http.StatusBadRequest, "Request_UnsupportedQuery", "$count needs the header ConsistencyLevel: eventual")
	}
	if s := q.Get("$filter"); s != "" {
		if o.filter, ok = c.filter(s, col, eventual && o.count); !ok {
			return o, false
		}
	}
	return o, true
}

// window reads $top and $skip.
func (c *call) window(col *collection) (limit, skip int, ok bool) {
	limit = col.page
	if s := c.query.Get("$top"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > col.maxTop {
			return 0, 0, c.refuse(http.StatusBadRequest, "BadRequest", "$top is above the maximum of "+itoa(col.maxTop)+" or no number")
		}
		limit = n
	}
	if s := c.query.Get("$skip"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return 0, 0, c.refuse(http.StatusBadRequest, "BadRequest", "$skip is no number")
		}
		skip = n
	}
	return limit, skip, true
}

// filter parses $filter and checks what the collection supports of it.
func (c *call) filter(s string, col *collection, advanced bool) (*condition, bool) {
	f, err := parseFilter(s, col, c.beta)
	if err != nil {
		return nil, c.refuse(http.StatusBadRequest, filterCode(c.route), err.Error())
	}
	why := ""
	f.each(func(k *condition) {
		switch {
		case k.op == "or" && (col.noOr || !col.anyOr && !k.oneField()):
			why = "or between properties is not supported: use and"
		case k.op == "or" && !col.anyOr:
			k.each(func(leaf *condition) {
				if leaf.field != nil && !leaf.field.allows("or") {
					why = "property '" + leaf.field.name + "' does not support or"
				}
			})
		case k.op == "not" && !col.advanced:
			why = "not is not supported"
		case col.advanced && !advanced && (k.op == "ne" || k.op == "not" || k.op == "endswith"):
			why = k.op + " needs the header ConsistencyLevel: eventual and $count=true"
		}
	})
	if why != "" {
		return nil, c.refuse(http.StatusBadRequest, filterCode(c.route), why)
	}
	return f, true
}

func filterCode(r *route) string {
	switch {
	case r.service == serviceDefender:
		return "ODataError"
	case r.scope == scopeDirectory:
		return "Request_UnsupportedQuery"
	}
	return "BadRequest"
}

// list answers a page of a collection.
func (c *call) list(col *collection) {
	if o, ok := c.options(col); ok {
		c.writePage(col, o)
	}
}

// writePage renders a page after its options were checked.
func (c *call) writePage(col *collection, o options) {
	rows, n, total, next := c.rows(col, o)
	if n == 0 && col.notFound && o.skip == 0 {
		c.fail(http.StatusNotFound, "ResourceNotFound", "No resource was found")
		return
	}
	c.openContext(col, o.fields)
	switch {
	case col.counts:
		c.body = append(append(c.body, `,"@odata.count":`...), itoa(n)...)
	case o.count && o.from == 0:
		c.body = append(append(c.body, `,"@odata.count":`...), itoa(total)...)
	}
	if next >= 0 {
		c.link("@odata.nextLink", "$skiptoken", skipToken(next))
	}
	c.body = append(c.body, `,"value":[`...)
	c.body = append(c.body, rows...)
	c.body = append(c.body, "]}"...)
	*c.spare = rows[:0]
}

// rows renders a page. next: key of the page after it, -1 when this is the last.
func (c *call) rows(col *collection, o options) (b []byte, n, total int, next int64) {
	b, next = (*c.spare)[:0], -1
	skip := o.skip
	one := func(key int64, r row) bool {
		if o.filter != nil && !o.filter.match(r) {
			return true
		}
		if total++; total <= skip {
			return true
		}
		if n == o.limit {
			if next < 0 {
				next = key
			}
			return o.count && o.from == 0 // go on only to count
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = c.object(b, col, r, o.fields, true)
		return true
	}
	if f := o.filter; f != nil && f.op == "eq" && col.direct[f.field.name] != nil && !f.lit.null {
		for i, r := range col.direct[f.field.name](c.s.fleet, f.lit.s) {
			one(int64(i), r)
		}
		return b, n, total, -1
	}
	col.each(c.s.fleet, o.from, one)
	if col.skips {
		next = -1
	}
	return b, n, total, next
}

// object renders one entity of a list or a single one.
func (c *call) object(b []byte, col *collection, r row, fields []*field, list bool) []byte {
	b = append(b, '{')
	b = append(b, col.preamble(c.route)...)
	b = appendFields(b, r, fields, list)
	return append(b, '}')
}

// preamble is what AdminService writes before the properties of an entity.
func (col *collection) preamble(r *route) string {
	if r.service == serviceConfigMgr {
		return `"@odata.etag":"FC1","__LAZYPROPERTIES":[],`
	}
	return ""
}

// single answers one entity by its key.
func (c *call) single(col *collection, r row) {
	if col.needsSelect && c.query.Get("$select") == "" {
		c.violate("no $select")
	}
	fields, unknown := col.selection(c.query.Get("$select"), c.beta)
	if unknown != "" {
		c.refuse(http.StatusBadRequest, "BadRequest", "Could not find a property named '"+unknown+"' on type '"+col.entity+"'.")
		return
	}
	c.openContext(col, fields)
	c.body = c.body[:len(c.body)-1] // the closing quote
	c.body = append(c.body, `/$entity",`...)
	c.body = appendFields(c.body, r, fields, c.query.Get("$select") == "")
	c.body = append(c.body, '}')
}

// openContext begins an answer: the brace and @odata.context.
func (c *call) openContext(col *collection, fields []*field) {
	b := append(c.body, `{"@odata.context":"`...)
	b = append(b, c.base...)
	b = append(b, c.route.metadata(c.beta)...)
	b = append(b, col.context...)
	if c.query.Get("$select") != "" && c.route.service == serviceGraph {
		b = append(b, '(')
		for i, f := range fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, f.name...)
		}
		b = append(b, ')')
	}
	c.body = append(b, '"')
}

// link appends a link to this call with one option replaced. The other options stay
// as the client wrote them.
func (c *call) link(name, option, value string) {
	b := append(append(append(c.body, `,"`...), name...), `":"`...)
	b = append(append(b, c.base...), c.r.URL.EscapedPath()...)
	sep := byte('?')
	for part := range strings.SplitSeq(c.r.URL.RawQuery, "&") {
		key, _, _ := strings.Cut(part, "=")
		key = strings.ReplaceAll(key, "%24", "$")
		if part == "" || key == "$skiptoken" || key == "$deltatoken" || key == "$deltaToken" || option == "$deltatoken" {
			continue
		}
		b = append(append(b, sep), part...)
		sep = '&'
	}
	b = append(append(append(append(b, sep), option...), '='), value...)
	c.body = append(b, '"')
}
