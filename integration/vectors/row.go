package vectors

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Row is a device in the inventory file, with the member names of its JSON form.
// Dates are relative to now: "-3d", "+12h". Absent is unknown.
type Row struct {
	Serial      string    `yaml:"serial" json:"-"`
	Name        string    `yaml:"name" json:"name,omitempty"`
	Model       string    `yaml:"model" json:"model,omitempty"`
	Platform    string    `yaml:"platform" json:"platform,omitempty"`
	OSVersion   string    `yaml:"os_version" json:"os_version,omitempty"`
	Compliance  string    `yaml:"compliance" json:"compliance,omitempty"`
	GraceUntil  string    `yaml:"grace_until" json:"grace_until,omitempty"`
	Managed     *bool     `yaml:"managed" json:"managed,omitempty"`
	Channel     string    `yaml:"channel" json:"channel,omitempty"`
	Lifecycle   string    `yaml:"lifecycle" json:"lifecycle,omitempty"`
	Enabled     *bool     `yaml:"enabled" json:"enabled,omitempty"`
	Trust       string    `yaml:"trust" json:"trust,omitempty"`
	Ownership   string    `yaml:"ownership" json:"ownership,omitempty"`
	Owner       *Owner    `yaml:"owner" json:"owner,omitempty"`
	Encrypted   *bool     `yaml:"encrypted" json:"encrypted,omitempty"`
	Updated     *bool     `yaml:"updated" json:"updated,omitempty"`
	Jailbroken  *bool     `yaml:"jailbroken" json:"jailbroken,omitempty"`
	Apps        *bool     `yaml:"apps" json:"apps,omitempty"`
	Antivirus   *bool     `yaml:"antivirus" json:"antivirus,omitempty"`
	Firewall    *bool     `yaml:"firewall" json:"firewall,omitempty"`
	SecureBoot  *bool     `yaml:"secure_boot" json:"secure_boot,omitempty"`
	Supervised  *bool     `yaml:"supervised" json:"supervised,omitempty"`
	Risk        string    `yaml:"risk" json:"risk,omitempty"`
	Sensor      string    `yaml:"sensor" json:"sensor,omitempty"`
	Exposure    string    `yaml:"exposure" json:"exposure,omitempty"`
	Malware     *bool     `yaml:"malware" json:"malware,omitempty"`
	LastCheckIn string    `yaml:"last_check_in" json:"last_check_in,omitempty"`
	EvaluatedAt string    `yaml:"evaluated_at" json:"evaluated_at,omitempty"`
	Settings    []Setting `yaml:"settings" json:"settings,omitempty"`
	// Unreadable are the members that hold a word which nobody knows: any of
	// compliance, lifecycle, trust, ownership, risk, exposure, sensor.
	Unreadable []string `yaml:"unreadable" json:"-"`
}

// unreadable are the members that can hold such a word, by the names of their facts.
var unreadable = map[string]decision.Fact{
	"compliance": decision.FactCompliance, "lifecycle": decision.FactLifecycle, "trust": decision.FactTrust, "ownership": decision.FactOwnership,
	"risk": decision.FactRisk, "exposure": decision.FactExposure, "sensor": decision.FactSensor,
}

// Owner is the primary user of a device.
type Owner struct {
	ID  string `yaml:"id" json:"id,omitempty"`
	UPN string `yaml:"upn" json:"upn,omitempty"`
}

// Setting is one failing rule of the management authority.
type Setting struct {
	Name   string `yaml:"name" json:"name"`
	Policy string `yaml:"policy" json:"policy,omitempty"`
	State  string `yaml:"state" json:"state,omitempty"`
}

// device is the row as the engine sees it.
func (r *Row) device(now time.Time, keys []decision.Key) (decision.Device, error) {
	d := decision.Device{
		Keys: keys, Name: r.Name, Model: r.Model, Managed: tri(r.Managed), Enabled: tri(r.Enabled), Encrypted: tri(r.Encrypted),
		Updated: tri(r.Updated), Jailbroken: tri(r.Jailbroken), Apps: tri(r.Apps), Antivirus: tri(r.Antivirus), Firewall: tri(r.Firewall),
		SecureBoot: tri(r.SecureBoot), Supervised: tri(r.Supervised), Malware: tri(r.Malware),
	}
	if r.Owner != nil {
		d.OwnerID, d.OwnerUPN = strings.ToLower(r.Owner.ID), r.Owner.UPN
	}
	for _, s := range r.Settings {
		d.Settings = append(d.Settings, decision.Setting(s))
	}
	var bad error
	read(&bad, "platform", r.Platform, &d.Platform, decision.ParsePlatform)
	read(&bad, "compliance", r.Compliance, &d.Compliance, decision.ParseCompliance)
	read(&bad, "channel", r.Channel, &d.Channel, decision.ParseChannel)
	read(&bad, "lifecycle", r.Lifecycle, &d.Lifecycle, decision.ParseLifecycle)
	read(&bad, "trust", r.Trust, &d.Trust, decision.ParseTrust)
	read(&bad, "ownership", r.Ownership, &d.Ownership, decision.ParseOwnership)
	read(&bad, "risk", r.Risk, &d.Risk, decision.ParseLevel)
	read(&bad, "exposure", r.Exposure, &d.Exposure, decision.ParseLevel)
	read(&bad, "sensor", r.Sensor, &d.Sensor, decision.ParseSensor)
	version := func(s string) (decision.Version, bool) { v, err := decision.ParseVersion(s); return v, err == nil }
	read(&bad, "os_version", r.OSVersion, &d.OSVersion, version)
	date := func(s string) (time.Time, bool) {
		t, err := relative(s, now)
		return t.UTC().Truncate(time.Second), err == nil
	}
	read(&bad, "grace_until", r.GraceUntil, &d.GraceUntil, date)
	read(&bad, "last_check_in", r.LastCheckIn, &d.LastCheckIn, date)
	read(&bad, "evaluated_at", r.EvaluatedAt, &d.EvaluatedAt, date)
	for _, name := range r.Unreadable {
		f, ok := unreadable[name]
		if (!ok || d.Tells(f)) && bad == nil {
			bad = fmt.Errorf("unreadable %s: not a member that can be, or it has a value", name)
		}
		d.Unreadable |= decision.Facts(f)
	}
	return d, bad
}

// read parses a text unless it is empty, and keeps the first error.
func read[T any](bad *error, what, s string, to *T, parse func(string) (T, bool)) {
	if s == "" {
		return
	}
	v, ok := parse(s)
	if !ok && *bad == nil {
		*bad = fmt.Errorf("%s %q is not understood", what, s)
	}
	*to = v
}

func tri(b *bool) decision.Tri {
	if b == nil {
		return decision.Unknown
	}
	return decision.TriOf(*b)
}

// json is the row as a record of the inventory file.
func (r *Row) json(now time.Time, keys []decision.Key) (map[string]any, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	m := map[string]any{}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	for _, field := range []string{"grace_until", "last_check_in", "evaluated_at"} {
		if s, ok := m[field].(string); ok {
			t, err := relative(s, now)
			if err != nil {
				return nil, err
			}
			m[field] = t.UTC().Format(time.RFC3339)
		}
	}
	for _, name := range r.Unreadable {
		m[name] = "a word of tomorrow"
	}
	ids := map[string]any{}
	for _, k := range keys {
		ids[k.Kind] = k.Value
	}
	m["ids"] = ids
	return m, nil
}

// relative reads "-3d" or "+12h30m" against now.
func relative(s string, now time.Time) (time.Time, error) {
	bad := fmt.Errorf("date %q: write it like -3d or +12h", s)
	if len(s) < 3 || s[0] != '-' && s[0] != '+' {
		return time.Time{}, bad
	}
	var d time.Duration
	if days, ok := strings.CutSuffix(s[1:], "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil {
			return time.Time{}, bad
		}
		d = time.Duration(n) * 24 * time.Hour
	} else {
		var err error
		if d, err = time.ParseDuration(s[1:]); err != nil {
			return time.Time{}, bad
		}
	}
	if s[0] == '-' {
		d = -d
	}
	return now.Add(d), nil
}
