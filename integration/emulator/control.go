package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// serveControl is for people who run the emulator beside an example. It needs no
// credential, so it answers only to loopback, and not to pages in a browser.
//
//	GET   /control/devices?from=0&top=50        the fleet
//	GET   /control/devices/{id or name}
//	PATCH /control/devices/{id or name}         {"Managed.Compliance":"noncompliant"}
//	DELETE /control/devices/{id or name}
//	PATCH /control/users/{oid or upn}           {"Enabled":false}
//	GET   /control/faults, POST, DELETE         {"Route":"graph/devices","Kind":"hang","Count":1}
//	GET   /control/routes, /control/calls, /control/violations
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		http.Error(w, "control answers only to loopback, and not to a browser", http.StatusForbidden)
		return
	}
	what, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/control/"), "/")
	v, err := s.control(r, what, id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}

var errNoControl = errors.New("no such control: see the package's documentation")

func (s *Server) control(r *http.Request, what, id string) (v any, err error) {
	var body []byte
	if r.Body != nil {
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxInput)); err != nil {
			return nil, err
		}
	}
	switch r.Method + " " + what {
	case "GET devices":
		if id == "" {
			return s.controlList(r)
		}
		return s.controlDevice(id, nil)
	case "PATCH devices":
		return s.controlDevice(id, body)
	case "DELETE devices":
		s.Update(func(f *Fleet) {
			if d := f.Device(id); d != nil {
				f.RemoveDevice(d)
			}
		})
		return "removed", nil
	case "PATCH users":
		s.Update(func(f *Fleet) {
			if u := f.User(id); u == nil {
				err = fmt.Errorf("user %q was not found", id)
			} else {
				v, err = u, setFields(u, body)
			}
		})
		return v, err
	case "GET faults":
		return s.faults.list(), nil
	case "POST faults":
		return s.controlFault(body)
	case "DELETE faults":
		s.faults.mu.Lock()
		defer s.faults.mu.Unlock()
		s.faults.active = nil
		return "cleared", nil
	case "GET routes":
		return Routes(), nil
	case "GET calls":
		return s.Calls(), nil
	case "GET violations":
		return s.Violations(), nil
	}
	return nil, errNoControl
}

func (f *faults) list() map[string][]Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := map[string][]Fault{}
	for route, list := range f.active {
		for _, x := range list {
			m[route] = append(m[route], *x)
		}
	}
	return m
}

// controlFault checks what Fail would panic over.
func (s *Server) controlFault(body []byte) (any, error) {
	var in struct {
		Route, Kind, RetryAfter, Delay, Body string
		Count, Status                        int
	}
	err := json.Unmarshal(body, &in)
	if err != nil {
		return nil, err
	}
	f := Fault{Kind: FaultKind(in.Kind), Count: in.Count, RetryAfter: in.RetryAfter, Status: in.Status, Body: in.Body}
	if in.Delay != "" {
		if f.Delay, err = time.ParseDuration(in.Delay); err != nil {
			return nil, err
		}
	}
	if f.Count < 0 || f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return nil, errors.New("count must not be negative and status must be 200 to 599")
	}
	if i := routeNumber(in.Route); i < 0 || !f.Kind.fits(&routes[i]) {
		return nil, fmt.Errorf("route %q is unknown or fault %q does not fit it", in.Route, in.Kind)
	}
	s.Fail(in.Route, f)
	return s.faults.list(), nil
}

func (s *Server) controlList(r *http.Request) (any, error) {
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	top, err := strconv.Atoi(r.URL.Query().Get("top"))
	if err != nil || top < 1 || top > 1000 {
		top = 50
	}
	all := s.Devices()
	from = min(max(from, 0), len(all))
	s.mu.RLock()
	defer s.mu.RUnlock()
	return asJSON(all[from:min(from+top, len(all))])
}

// controlDevice shows a device after it set the fields of body.
func (s *Server) controlDevice(id string, body []byte) (v any, err error) {
	var d *Device
	s.Update(func(f *Fleet) {
		d = f.Device(id)
		if d == nil {
			err = fmt.Errorf("device %q was not found", id)
			return
		}
		if body != nil {
			err = setFields(d, body)
		}
	})
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return asJSON(d)
}

// asJSON renders while the fleet is locked.
func asJSON(v any) (json.RawMessage, error) { return json.Marshal(v) }

// setFields sets fields by path, such as Directory.Enabled, Managed.Compliance (of
// the first record) or Managed.1.LastSync.
func setFields(target any, body []byte) error {
	var in map[string]json.RawMessage
	err := json.Unmarshal(body, &in)
	if err != nil {
		return err
	}
	for path, value := range in {
		v, err := walk(reflect.ValueOf(target), path)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(value, v.Addr().Interface()); err != nil {
			return fmt.Errorf("field %s: %w", path, err)
		}
	}
	return nil
}

// walk follows a path of field names and record numbers.
func walk(v reflect.Value, path string) (reflect.Value, error) {
	for name := range strings.SplitSeq(path, ".") {
		v = reflect.Indirect(v)
		if v.Kind() == reflect.Slice {
			i, err := strconv.Atoi(name)
			if err != nil {
				i = 0
			}
			if i < 0 || i >= v.Len() {
				return v, fmt.Errorf("field %s: the device has no such record", path)
			}
			v = reflect.Indirect(v.Index(i))
			if err == nil {
				continue
			}
		}
		if v.Kind() != reflect.Struct {
			return v, fmt.Errorf("field %s: the device has no such record", path)
		}
		f, ok := v.Type().FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
		if !ok || !f.IsExported() {
			return v, fmt.Errorf("field %s: no such field", path)
		}
		v = v.FieldByIndex(f.Index)
	}
	return v, nil
}
