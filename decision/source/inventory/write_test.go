package inventory

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// WriteJSON writes devices and users in the JSON format, one record a line,
// the ids of a device in their order. Facts that are unknown are left out, and
// so are times of observation: the file's own date is when it was written.
// It fails on a device that the reader would refuse.
func WriteJSON(w io.Writer, devices []decision.Verdict, users []decision.UserRecord) error {
	bw := bufio.NewWriter(w)
	fmt.Fprintf(bw, "{\"version\":%d,\"devices\":[", jsonVersion) //nolint:errcheck // Flush reports it
	for i := range devices {
		r, err := deviceJSON(&devices[i].Device)
		if err != nil {
			return fmt.Errorf("device %d: %w", i+1, err)
		}
		if err := writeRecord(bw, i, r); err != nil {
			return err
		}
	}
	bw.WriteString("\n],\"users\":[") //nolint:errcheck // Flush reports it
	for i := range users {
		u := &users[i]
		if u.ObjectID == "" && u.UPN == "" {
			return fmt.Errorf("user %d has neither id nor upn", i+1)
		}
		err := writeRecord(bw, i, jsonUser{u.ObjectID, u.UPN, known(u.Enabled), known(u.Risk), known(u.Compromised)})
		if err != nil {
			return err
		}
	}
	bw.WriteString("\n]}\n") //nolint:errcheck // Flush reports it
	return bw.Flush()
}

func writeRecord(bw *bufio.Writer, i int, r any) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	sep := ",\n"
	if i == 0 {
		sep = "\n"
	}
	bw.WriteString(sep) //nolint:errcheck // a bufio.Writer keeps its error
	_, err = bw.Write(b)
	return err
}

type jsonUser struct {
	ID          string `json:"id,omitempty"`
	UPN         string `json:"upn,omitempty"`
	Enabled     string `json:"enabled,omitempty"`
	Risk        string `json:"risk,omitempty"`
	Compromised string `json:"compromised,omitempty"`
}

type jsonDevice struct {
	IDs         jsonIDs       `json:"ids"`
	Name        string        `json:"name,omitempty"`
	Model       string        `json:"model,omitempty"`
	Platform    string        `json:"platform,omitempty"`
	OSVersion   string        `json:"os_version,omitempty"`
	Compliance  string        `json:"compliance,omitempty"`
	GraceUntil  time.Time     `json:"grace_until,omitzero"`
	Managed     string        `json:"managed,omitempty"`
	Channel     string        `json:"channel,omitempty"`
	Lifecycle   string        `json:"lifecycle,omitempty"`
	Enabled     string        `json:"enabled,omitempty"`
	Trust       string        `json:"trust,omitempty"`
	Ownership   string        `json:"ownership,omitempty"`
	Owner       *jsonOwner    `json:"owner,omitempty"`
	Encrypted   string        `json:"encrypted,omitempty"`
	Updated     string        `json:"updated,omitempty"`
	Jailbroken  string        `json:"jailbroken,omitempty"`
	Apps        string        `json:"apps,omitempty"`
	Antivirus   string        `json:"antivirus,omitempty"`
	Firewall    string        `json:"firewall,omitempty"`
	SecureBoot  string        `json:"secure_boot,omitempty"`
	Supervised  string        `json:"supervised,omitempty"`
	Risk        string        `json:"risk,omitempty"`
	Sensor      string        `json:"sensor,omitempty"`
	Exposure    string        `json:"exposure,omitempty"`
	Malware     string        `json:"malware,omitempty"`
	LastCheckIn time.Time     `json:"last_check_in,omitzero"`
	EvaluatedAt time.Time     `json:"evaluated_at,omitzero"`
	Settings    []jsonSetting `json:"settings,omitempty"`
}

type jsonOwner struct {
	ID  string `json:"id,omitempty"`
	UPN string `json:"upn,omitempty"`
}

type jsonSetting struct {
	Name   string `json:"name"`
	Policy string `json:"policy,omitempty"`
	State  string `json:"state,omitempty"`
}

// jsonIDs is an object whose members keep their order.
type jsonIDs []decision.Key

// MarshalJSON implements json.Marshaler.
func (ids jsonIDs) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, k := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		kind, err := json.Marshal(k.Kind)
		if err != nil {
			return nil, err
		}
		id, err := json.Marshal(k.Value)
		if err != nil {
			return nil, err
		}
		b.Write(kind)
		b.WriteByte(':')
		b.Write(id)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func deviceJSON(d *decision.Device) (*jsonDevice, error) {
	if err := writable(d.Keys); err != nil {
		return nil, err
	}
	r := &jsonDevice{
		IDs: d.Keys, Name: d.Name, Model: d.Model,
		Platform: known(d.Platform), Compliance: known(d.Compliance), GraceUntil: d.GraceUntil.UTC(),
		Managed: known(d.Managed), Channel: known(d.Channel), Lifecycle: known(d.Lifecycle),
		Enabled: known(d.Enabled), Trust: known(d.Trust), Ownership: known(d.Ownership),
		Encrypted: known(d.Encrypted), Updated: known(d.Updated), Jailbroken: known(d.Jailbroken),
		Apps: known(d.Apps), Antivirus: known(d.Antivirus), Firewall: known(d.Firewall),
		SecureBoot: known(d.SecureBoot), Supervised: known(d.Supervised),
		Risk: known(d.Risk), Sensor: known(d.Sensor), Exposure: known(d.Exposure), Malware: known(d.Malware),
		LastCheckIn: d.LastCheckIn.UTC(), EvaluatedAt: d.EvaluatedAt.UTC(),
	}
	if !d.OSVersion.IsZero() {
		r.OSVersion = d.OSVersion.String()
	}
	if d.OwnerID != "" || d.OwnerUPN != "" {
		r.Owner = &jsonOwner{d.OwnerID, d.OwnerUPN}
	}
	for _, s := range d.Settings {
		r.Settings = append(r.Settings, jsonSetting(s))
	}
	return r, nil
}

// writable checks that the reader would take these ids.
func writable(keys []decision.Key) error {
	if len(keys) == 0 || len(keys) > maxKinds {
		return fmt.Errorf("device has %d ids, not 1 to %d", len(keys), maxKinds)
	}
	kinds := map[string]bool{}
	for _, k := range keys {
		if err := validKind(k.Kind); err != nil {
			return err
		}
		if c, ok := decision.CanonicalKey(k.Kind, k.Value); !ok || c != k {
			return fmt.Errorf("%s id %q is not canonical", k.Kind, excerpt(k.Value))
		}
		if kinds[k.Kind] {
			return errors.New("device has two ids of kind " + k.Kind)
		}
		kinds[k.Kind] = true
	}
	return nil
}

// known prints a fact, or nothing if it is the zero value: unknown.
func known[T interface {
	comparable
	String() string
}](v T) string {
	var unknown T
	if v == unknown {
		return ""
	}
	return v.String()
}
