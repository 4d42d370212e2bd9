package configmgr

import "github.com/gatehouse-project/gatehouse/decision"

// unreadable are the facts that are unknown in d because the site says something
// about them that cannot be read, or says it twice and differently. Null, and no row,
// are no such word: nobody said anything. Only the verdict needs what the site itself
// knows of every client ([checks.client]): without it, the verdict is unreadable.
func (j judge) unreadable(r *record, d *decision.Device) (set decision.FactSet) {
	f := &r.facts
	add := func(fact decision.Fact, unknown bool, odd ...bool) {
		for _, o := range odd {
			if unknown && o {
				set |= decision.Facts(fact)
			}
		}
	}
	noBlock := r.blocked() == decision.Unknown
	oddBlock := f.IsBlocked.odd() || r.oddTwin
	scan := !j.noUpdates && r.scan.odd
	add(decision.FactEnabled, d.Enabled == decision.Unknown, oddBlock)
	add(decision.FactOS, d.Platform == decision.PlatformUnknown, f.DeviceOS.odd())
	add(decision.FactOwnership, d.Ownership == decision.OwnershipUnknown, f.DeviceOwner.odd())
	add(decision.FactSensor, d.Sensor == decision.SensorUnknown, f.ClientActiveStatus.odd())
	add(decision.FactMalware, d.Malware == decision.Unknown, oddInfection(f))
	add(decision.FactRisk, d.Risk == decision.LevelUnknown, oddInfection(f))
	add(decision.FactAntivirus, d.Antivirus == decision.Unknown, oddAntivirus(f))
	add(decision.FactUpdated, d.Updated == decision.Unknown, scan)
	add(decision.FactCheckIn, d.LastCheckIn.IsZero(), f.LastActiveTime.odd(), f.LastPolicyRequest.odd(), f.LastDDR.odd())
	add(decision.FactCompliance, d.Compliance == decision.ComplianceUnknown, noBlock, scan, oddInfection(f),
		f.ClientActiveStatus.odd(), f.ClientCheckPass.odd(), infection(f) == 0 && (f.EPEnabled.odd() || f.EPDeploymentState.odd()))
	return set
}

// odd reports whether there is a value that cannot be read.
func (s *state) odd() bool { return s.why != "" }

// pending are the properties that say what a cleaned device still waits for.
func (r *resourceRow) pending() []flag {
	return []flag{r.EPPendingReboot, r.EPPendingFullScan, r.EPPendingOfflineScan, r.EPPendingManualSteps}
}

// oddInfection reports whether an infection may hide behind a word that nobody knows.
func oddInfection(f *resourceRow) bool {
	odd := f.EPInfectionStatus.odd()
	if f.EPInfectionStatus.is(infectionCleaned) && protected(f) != decision.No {
		for _, p := range f.pending() {
			odd = odd || p.odd()
		}
	}
	return odd
}

// oddAntivirus reports the same of what [judge.antivirus] reads.
func oddAntivirus(f *resourceRow) bool {
	switch {
	case f.EPEnabled.odd():
		return true
	case protected(f) == decision.No, f.EPDeploymentState.is(deploymentPlanned):
		return false
	}
	return f.EPDeploymentState.odd() || f.EPAntivirusEnabled.odd() || f.SignatureDate.odd()
}
