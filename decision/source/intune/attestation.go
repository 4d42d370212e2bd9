package intune

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// attestation is what the device measured when it started (Graph
// deviceHealthAttestationState).
type attestation struct {
	secureBoot decision.Tri
	bitLocker  decision.Tri
	at         time.Time // of the measurement; zero: nobody knows
	unreadable decision.FactSet
}

var attestedWords = map[string]decision.Tri{
	"enabled": decision.Yes, "on": decision.Yes, "true": decision.Yes, "1": decision.Yes,
	"disabled": decision.No, "off": decision.No, "false": decision.No, "0": decision.No,
	"notapplicable": decision.Unknown, "notsupported": decision.Unknown, "unknown": decision.Unknown,
}

// attestedDate is how Graph writes the date of an attestation, which is text.
const attestedDate = "1/2/2006 3:04:05 PM"

// parseAttestation reads a managedDevice with nothing but its id and its attestation,
// which is null where the device never attested.
func parseAttestation(d *decoder, id string, body []byte) (attestation, error) {
	var wire struct {
		ID    text `json:"id"`
		State *struct {
			SecureBoot text `json:"secureBoot"`
			BitLocker  text `json:"bitLockerStatus"`
			Updated    text `json:"lastUpdateDateTime"`
		} `json:"deviceHealthAttestationState"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return attestation{}, errors.New("health attestation is no JSON object")
	}
	if own, ok := decision.CanonicalKey(decision.KindIntune, wire.ID.s); !ok || own.Value != id {
		return attestation{}, errors.New("health attestation is about another device")
	}
	if wire.State == nil {
		return attestation{}, nil
	}
	d.take() // of another record
	a := attestation{at: d.attestedAt(wire.State.Updated)}
	if s := wire.State.SecureBoot; s.wrong || s.s != "" {
		a.secureBoot = word(d, attestedWords, "secureBoot", s)
	}
	if s := wire.State.BitLocker; s.wrong || s.s != "" {
		a.bitLocker = word(d, attestedWords, "bitLockerStatus", s)
	}
	a.unreadable = d.take()
	return a, nil
}

func (d *decoder) attestedAt(t text) time.Time {
	const field = "lastUpdateDateTime"
	at, err := time.Parse(attestedDate, strings.TrimSpace(t.s))
	switch {
	case err != nil:
		return d.reported(field, t)
	case at.Year() < 1990:
		return time.Time{}
	case at.After(d.now.Add(futureLimit)):
		d.odd(field, "in the future")
		return time.Time{}
	}
	return at.UTC()
}
