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
	// pending is true if something waits for a person: without a list that tells
	// what, nobody knows whether the device is clean.
	pending bool
}

// The flags of productStatus that mean that the antivirus does not do its work, and
// those of deviceState. Both are sets, written with commas.
var (
	brokenProduct = map[string]bool{
		"servicenotrunning": true, "servicestartedwithoutmalwareprotection": true, "productexpired": true,
		"avsignaturesoutofdate": true, "assignaturesoutofdate": true,
	}
	// otherProduct are the flags that say nothing against it (Graph
	// windowsDefenderProductStatus).
	otherProduct = map[string]bool{
		"nostatus": true, "nostatusflagsset": true, "pendingfullscanduetothreataction": true, "pendingrebootduetothreataction": true,
		"pendingmanualstepsduetothreataction": true, "noquickscanhappenedforspecifiedperiod": true, "nofullscanhappenedforspecifiedperiod": true,
		"systeminitiatedscaninprogress": true, "systeminitiatedcleaninprogress": true, "samplespendingsubmission": true,
		"productrunninginevaluationmode": true, "productrunninginnongenuinemode": true, "offlinescanrequired": true,
		"serviceshutdownaspartofsystemshutdown": true, "threatremediationfailedcritically": true, "threatremediationfailednoncritically": true,
		"platformoutofdate": true, "platformupdateinprogress": true, "platformabouttobeoutdated": true,
		"signatureorplatformendoflifeispastorisimpending": true, "windowssmodesignaturesinuseonnonwin10sinstall": true,
	}
	deviceStates = map[string]bool{
		"clean": true, "fullscanpending": true, "rebootpending": true, "manualstepspending": true, "offlinescanpending": true, "critical": true,
	}
)

// flags reads a set of flags, reduced by fold. Nil: there is none.
func (d *decoder) flags(field string, t text) map[string]bool {
	if t.wrong {
		d.odd(field, "wrong type")
	}
	if t.wrong || strings.TrimSpace(t.s) == "" {
		return nil
	}
	set := map[string]bool{}
	for f := range strings.SplitSeq(t.s, ",") {
		set[fold(f)] = true
	}
	return set
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
	p := protection{reported: d.date("lastReportedDateTime", wire.Reported)}
	if p.reported.After(d.now.Add(futureLimit)) {
		d.odd("lastReportedDateTime", "in the future")
		p.reported = time.Time{}
	}
	for field, f := range map[string]flag{
		"malwareProtectionEnabled": wire.Malware, "realTimeProtectionEnabled": wire.RealTime, "signatureUpdateOverdue": wire.Signature,
	} {
		if f.wrong {
			d.odd(field, "wrong type")
		}
	}
	product, state := d.flags("productStatus", wire.Product), d.flags("deviceState", wire.State)
	strange := wire.Product.wrong // something about the product that nobody understands
	for f := range product {
		if !brokenProduct[f] && !otherProduct[f] {
			d.odd("productStatus", "unknown value")
			strange = true
		}
	}
	broken := wire.Malware.is == decision.No || wire.RealTime.is == decision.No || wire.Signature.is == decision.Yes
	for f := range product {
		broken = broken || brokenProduct[f]
	}
	switch {
	case broken:
		p.antivirus = decision.No
	case !strange && wire.Malware.is == decision.Yes && wire.RealTime.is == decision.Yes && wire.Signature.is == decision.No:
		p.antivirus = decision.Yes
	}
	for f := range state {
		if !deviceStates[f] {
			d.odd("deviceState", "unknown value")
			p.pending = true
		}
	}
	switch {
	case state["critical"], product["threatremediationfailedcritically"]:
		p.malware, p.risk = decision.Yes, decision.LevelHigh
	case len(state) == 1 && state["clean"]:
		p.malware = decision.No
	case state != nil:
		p.look = true
		p.pending = p.pending || state["manualstepspending"] || state["offlinescanpending"]
	}
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
	p.malware = decision.No
	if p.pending && len(*wire.Value) == 0 || wire.Next != "" {
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
	return nil
}
