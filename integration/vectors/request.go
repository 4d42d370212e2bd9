package vectors

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// How far the inventory file is past max_file_age when the feed is stale or
// expired. 20 minutes are stale for the tiers standard and sensitive, still
// fresh for relaxed and too much for critical, whatever the spread of ten per
// cent; 30 hours are too much for all.
const (
	StaleFor   = 20 * time.Minute
	ExpiredFor = 30 * time.Hour
)

// SourceName is the configured name of the inventory source.
const SourceName = "inventory"

// DeviceID is the Entra device id of the vector: a GUID derived from its name.
func (v *Vector) DeviceID() string { return guid("device", v.Name) }

// guid makes a version 8 UUID (RFC 9562) of SHA-256.
func guid(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// ObjectID is the Entra object id of the vector's user, if its issuer has one.
func (v *Vector) ObjectID() string {
	switch {
	case v.User == nil || v.User.Issuer != "entra":
		return ""
	case v.User.ObjectID != "":
		return v.User.ObjectID
	}
	return guid("user", v.Name)
}

// TenantID is the tenant of issuer entra in every vector.
var TenantID = guid("tenant")

// rowKeys are the ids in the device's row.
func (v *Vector) rowKeys() []decision.Key {
	keys := []decision.Key{{Kind: decision.KindEntra, Value: v.DeviceID()}}
	if v.Inventory.Serial != "" {
		keys = append(keys, decision.Key{Kind: decision.KindSerial, Value: v.Inventory.Serial})
	}
	return keys
}

// InventoryRow is the device as a record of the inventory file's "devices", or
// nil if the file has no such device.
func (v *Vector) InventoryRow(now time.Time) map[string]any {
	if v.Inventory == nil {
		return nil
	}
	m, err := v.Inventory.json(now, v.rowKeys())
	if err != nil {
		panic(err) // Load checked it
	}
	return m
}

// AccountRow is the user as a record of the inventory file's "users", or nil.
func (v *Vector) AccountRow() map[string]any {
	a := v.Account
	if a == nil {
		return nil
	}
	m := map[string]any{"upn": v.User.Name}
	if id := v.ObjectID(); id != "" {
		m["id"] = id
	}
	if a.Enabled != nil {
		m["enabled"] = *a.Enabled
	}
	if a.Risk != "" {
		m["risk"] = a.Risk
	}
	if a.Compromised != nil {
		m["compromised"] = *a.Compromised
	}
	return m
}

// Request is what the engine decides on when the gateway gets the vector's
// request at now.
func (v *Vector) Request(now time.Time) (*decision.Request, error) {
	ip, err := netip.ParseAddr(v.ClientIP)
	if err != nil {
		return nil, fmt.Errorf("client_ip: %w", err)
	}
	id, err := v.identity(now)
	if err != nil {
		return nil, err
	}
	posture, err := v.posture(now, id)
	if err != nil {
		return nil, err
	}
	return &decision.Request{
		Now: now, Identity: id, Posture: posture, Method: v.Method, Host: v.Host(), Path: v.Path, ClientIP: ip,
		NoStepUp: v.User != nil && v.User.Issuer == "entra" && !v.User.CP1,
	}, nil
}

// Host is the name of the site that the vector is replayed on.
func (v *Vector) Host() string { return "v-" + v.DeviceID()[:8] + ".corp.example" }

func (v *Vector) posture(now time.Time, id *decision.Identity) (*decision.Posture, error) {
	state := &decision.SourceState{Name: SourceName, Authoritative: true}
	state.SetSupplies(decision.AllFacts)
	switch v.Feed {
	case FeedFresh:
		state.Confirm(now)
	case FeedStale:
		state.Restore(now.Add(-StaleFor))
		state.Fail(decision.CauseSourceFailing)
	case FeedExpired:
		state.Restore(now.Add(-ExpiredFor))
		state.Fail(decision.CauseSourceFailing)
	case FeedMissing:
		state.Fail(decision.CauseSourceFailing)
	}
	report := decision.Report{State: state}
	var key decision.Key
	if v.Device != nil {
		key = id.Device.Keys[0]
	}
	ambiguous := false
	if v.Inventory != nil && v.Feed != FeedMissing {
		d, err := v.Inventory.device(now, v.rowKeys())
		if err != nil {
			return nil, err
		}
		report.Verdict = &decision.Verdict{Device: d}
		ambiguous = v.Device.Serial != "" && v.Device.Serial != v.Inventory.Serial
	}
	if a := v.Account; a != nil && v.Feed != FeedMissing {
		report.User = &decision.UserRecord{UPN: v.User.Name, ObjectID: v.ObjectID(), Enabled: tri(a.Enabled), Compromised: tri(a.Compromised)}
		if a.Risk != "" {
			level, ok := decision.ParseLevel(a.Risk)
			if !ok {
				return nil, fmt.Errorf("account risk %q is not understood", a.Risk)
			}
			report.User.Risk = level
		}
	}
	p := decision.Merge([]decision.Report{report}, key)
	p.Ambiguous = ambiguous
	if v.Revoked != "" {
		p.Revoked = &decision.Revocation{Subject: v.Revoked, Since: now}
	}
	return p, nil
}
