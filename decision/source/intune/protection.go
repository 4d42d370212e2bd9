package intune

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// protection is what Windows' own antivirus says (Graph windowsProtectionState).
type protection struct {
	antivirus decision.Tri // runs, watches, and its signatures are not overdue
	malware   decision.Tri // Yes: found and not yet removed
	risk      decision.Level
	reported  time.Time // when the device said so; zero: nobody knows
	// look is true if the list of what was found must be read to tell.
	look bool
	// unreadable are the facts about which something was said that cannot be read.
	unreadable decision.FactSet
	// pending is true if something waits for a person: without a list that tells
	// what, nobody knows whether the device is clean.
	pending bool
}

// The flags of productStatus, true for those that mean that the antivirus does not do
// its work, and those of deviceState. Both are sets, written with commas.
var (
	productStates = map[string]bool{
		"servicenotrunning": true, "servicestartedwithoutmalwareprotection": true, "productexpired": true,
		"avsignaturesoutofdate": true, "assignaturesoutofdate": true,

		"nostatus": false, "nostatusflagsset": false,
		"pendingfullscanduetothreataction": false, "pendingrebootduetothreataction": false, "pendingmanualstepsduetothreataction": false,
		"noquickscanhappenedforspecifiedperiod": false, "nofullscanhappenedforspecifiedperiod": false, "offlinescanrequired": false,
		"systeminitiatedscaninprogress": false, "systeminitiatedcleaninprogress": false, "samplespendingsubmission": false,
		"productrunninginevaluationmode": false, "productrunninginnongenuinemode": false, "serviceshutdownaspartofsystemshutdown": false,
		"threatremediationfailedcritically": false, "threatremediationfailednoncritically": false,
		"platformoutofdate": false, "platformupdateinprogress": false, "platformabouttobeoutdated": false,
		"signatureorplatformendoflifeispastorisimpending": false, "windowssmodesignaturesinuseonnonwin10sinstall": false,
	}
	deviceStates = map[string]bool{
		"clean": true, "fullscanpending": true, "rebootpending": true, "manualstepspending": true, "offlinescanpending": true, "critical": true,
	}
)

// flags reads a set of flags, and counts those that are not in known. clear is false if
// there is one, or no text. Nil: there is none.
func flags(d *decoder, field string, t text, known map[string]bool) (set map[string]bool, clear bool) {
	if t.wrong {
		d.odd(field, "wrong type")
	}
	if t.wrong || strings.TrimSpace(t.s) == "" {
		return nil, !t.wrong
	}
	set, clear = map[string]bool{}, true
	for f := range strings.SplitSeq(t.s, ",") {
		f = strings.ToLower(strings.TrimSpace(f))
		if _, ok := known[f]; !ok {
			d.odd(field, "unknown value")
			clear = false
		}
		set[f] = true
	}
	return set, clear
}

// switched reads a flag that the antivirus may leave out.
func switched(d *decoder, field string, f flag) decision.Tri {
	if f.wrong {
		d.odd(field, "wrong type")
	}
	return f.is
}

func parseProtection(d *decoder, body []byte) (protection, error) {
	var wire struct {
		State     text `json:"deviceState"`
		Product   text `json:"productStatus"`
		Malware   flag `json:"malwareProtectionEnabled"`
		RealTime  flag `json:"realTimeProtectionEnabled"`
		Signature flag `json:"signatureUpdateOverdue"`
		Reported  text `json:"lastReportedDateTime"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || len(body) == 0 || body[0] != '{' {
		return protection{}, errors.New("protection state is no JSON object")
	}
	d.take() // of another record
	p := protection{reported: d.reported("lastReportedDateTime", wire.Reported)}
	product, productClear := flags(d, "productStatus", wire.Product, productStates)
	state, stateClear := flags(d, "deviceState", wire.State, deviceStates)
	malware, realTime := switched(d, "malwareProtectionEnabled", wire.Malware), switched(d, "realTimeProtectionEnabled", wire.RealTime)
	overdue := switched(d, "signatureUpdateOverdue", wire.Signature)
	broken := malware == decision.No || realTime == decision.No || overdue == decision.Yes
	for f := range product {
		broken = broken || productStates[f]
	}
	switch {
	case broken:
		p.antivirus = decision.No
	case malware == decision.Yes && realTime == decision.Yes && overdue == decision.No && productClear:
		p.antivirus = decision.Yes
	}
	switch {
	case state["critical"], product["threatremediationfailedcritically"]:
		p.malware, p.risk = decision.Yes, decision.LevelHigh
	case len(state) == 1 && state["clean"] && productClear:
		p.malware = decision.No
	case state != nil, !stateClear:
		p.look = true
		p.pending = state["manualstepspending"] || state["offlinescanpending"] || !stateClear || !productClear
	}
	p.unreadable = d.take()
	return p, nil
}

// threatStates say what a threatState (Graph windowsMalwareThreatState) means for
// the device. What waits for a restart, a scan or a person is not removed yet.
var threatStates = map[string]struct {
	malware decision.Tri
	risk    decision.Level
}{
	"active":                            {decision.Yes, decision.LevelHigh},
	"actionfailed":                      {decision.Yes, decision.LevelHigh},
	"allowed":                           {decision.Yes, decision.LevelHigh}, // somebody let it run
	"manualstepsrequired":               {decision.Yes, decision.LevelMedium},
	"fullscanrequired":                  {decision.Yes, decision.LevelMedium},
	"rebootrequired":                    {decision.Yes, decision.LevelMedium},
	"remediatedwithnoncriticalfailures": {malware: decision.No},
	"quarantined":                       {malware: decision.No},
	"removed":                           {malware: decision.No},
	"cleaned":                           {malware: decision.No},
	"nostatuscleared":                   {malware: decision.No},
}

// addMalware joins the list of what was found (Graph detectedMalwareState). One
// that is not removed makes the device infected; one that cannot be read, or a list
// that goes on, leaves open whether it is clean.
func (p *protection) addMalware(d *decoder, body []byte) error {
	var wire struct {
		Value *[]struct {
			State text `json:"threatState"`
		} `json:"value"`
		Next string `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Value == nil {
		return errors.New(`list of malware has no "value"`)
	}
	if p.malware == decision.Yes {
		return nil // the state says enough
	}
	p.malware = decision.No
	if p.pending && len(*wire.Value) == 0 || wire.Next != "" || p.unreadable.Has(decision.FactMalware) {
		p.malware = decision.Unknown
	}
	for _, m := range *wire.Value {
		t, ok := threatStates[fold(m.State.s)]
		switch {
		case !ok || m.State.wrong:
			d.odd("threatState", "unknown value")
			if p.malware == decision.No {
				p.malware = decision.Unknown
			}
		case t.malware == decision.Yes:
			p.malware, p.risk = decision.Yes, max(p.risk, t.risk)
		}
	}
	p.unreadable |= d.take()
	return nil
}
