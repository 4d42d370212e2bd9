package nac

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of an answer about one device. The deepest element that we read is the
// sixth level.
const (
	maxDepth = 16
	maxRows  = 16
	maxText  = 256 // bytes of a value
)

// row is one device of an answer.
type row struct {
	ids        []string // of the device and of its attributes
	registered leaf     // register_status
	status     leaf     // compliance/status
}

// leaf is the text of one element, without surrounding blanks. It is empty if the
// element is absent, empty or nil.
type leaf struct {
	text string
	seen bool
}

// byteOrderMark may stand before a document in UTF-8.
var byteOrderMark = []byte("\xef\xbb\xbf")

var (
	errNotXML = errors.New("answer is not XML")
	errRoot   = errors.New("answer is not a list of devices")
	errTwice  = errors.New("answer has a value twice")
	errList   = errors.New("answer has something else than devices in its list")
)

// decode reads the answer to a question about one device, in the versions 3
// (namespaced, Attributes and Compliance capitalised) and 2 (neither) of the
// interface. Names are therefore compared without namespace and case. No rows and
// no error mean that the service says so: a document without a list is an error.
func decode(body []byte) ([]row, error) {
	r := reader{dec: xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, byteOrderMark)))}
	for {
		token, err := r.dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errNotXML // its own text would repeat the answer
		}
		switch t := token.(type) {
		case xml.StartElement:
			err = r.open(t)
		case xml.EndElement:
			err = r.close()
		case xml.CharData:
			err = r.add(t)
		case xml.Directive:
			err = errNotXML // a document type: this service sends none
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case !r.root:
		return nil, errNotXML
	case r.name.seen && !strings.EqualFold(r.name.text, "attributes"):
		return nil, fmt.Errorf("answer is of kind %q and not about devices", r.name.text)
	case !r.list:
		return nil, errRoot
	}
	return r.rows, nil
}

// reader walks through one document. encoding/xml checks that elements nest.
type reader struct {
	dec  *xml.Decoder
	path []string // names of the open elements, lower case
	root bool     // was seen
	list bool     // was seen
	name leaf     // what kind of answer it is
	rows []row
	leaf *leaf // where text goes; nil: nowhere
	id   leaf
}

// Elements that are read, as paths.
const (
	pathRoot       = "ise_api"
	pathName       = "ise_api/name"
	pathList       = "ise_api/devicelist"
	pathDevice     = "ise_api/devicelist/device"
	pathID         = "ise_api/devicelist/device/guid"
	pathInnerID    = "ise_api/devicelist/device/attributes/guid"
	pathRegistered = "ise_api/devicelist/device/attributes/register_status"
	pathStatus     = "ise_api/devicelist/device/attributes/compliance/status"
)

func (r *reader) open(t xml.StartElement) error {
	if len(r.path) >= maxDepth {
		return fmt.Errorf("answer nests deeper than %d elements", maxDepth)
	}
	if r.leaf != nil {
		return errors.New("answer has elements inside of a value")
	}
	r.path = append(r.path, strings.ToLower(t.Name.Local))
	path := strings.Join(r.path, "/")
	switch path {
	case pathName:
		return r.begin(&r.name)
	case pathList:
		if r.list || isNil(t) {
			return errRoot
		}
		r.list = true
	case pathDevice:
		if len(r.rows) >= maxRows {
			return fmt.Errorf("answer about one device has more than %d", maxRows)
		}
		r.rows = append(r.rows, row{})
	case pathID, pathInnerID:
		r.id = leaf{}
		return r.begin(&r.id)
	case pathRegistered:
		return r.begin(&r.last().registered)
	case pathStatus:
		return r.begin(&r.last().status)
	default:
		return r.other(path)
	}
	return nil
}

// other checks an element that is not read: attributes that the service may add
// are none of our business.
func (r *reader) other(path string) error {
	switch len(r.path) {
	case 1:
		if r.root || path != pathRoot {
			return errRoot
		}
		r.root = true
	case 3:
		if strings.HasPrefix(path, pathList+"/") {
			return errList // a list with an error in it is no empty list
		}
	}
	return nil
}

// last is the device that is being read. There is one: the path says so.
func (r *reader) last() *row { return &r.rows[len(r.rows)-1] }

func (r *reader) begin(l *leaf) error {
	if l.seen {
		return errTwice
	}
	l.seen, r.leaf = true, l
	return nil
}

func (r *reader) close() error {
	path := strings.Join(r.path, "/")
	r.path = r.path[:len(r.path)-1]
	if r.leaf == nil {
		return nil
	}
	r.leaf.text = strings.Trim(r.leaf.text, " \t\r\n")
	r.leaf = nil
	if path == pathID || path == pathInnerID {
		row := r.last()
		if len(row.ids) == 2 {
			return errTwice
		}
		row.ids = append(row.ids, r.id.text)
	}
	return nil
}

func (r *reader) add(text []byte) error {
	switch {
	case r.leaf != nil:
		if len(r.leaf.text)+len(text) > maxText {
			return fmt.Errorf("answer has a value of more than %d bytes", maxText)
		}
		r.leaf.text += string(text)
	case len(r.path) == 0 && len(bytes.Trim(text, " \t\r\n")) > 0:
		return errNotXML
	}
	return nil
}

// isNil reports xsi:nil (XML Schema part 1, section 2.6.2).
func isNil(t xml.StartElement) bool {
	for _, a := range t.Attr {
		if a.Name.Local == "nil" && (a.Value == "true" || a.Value == "1") {
			return true
		}
	}
	return false
}
