package emulator

import (
	"net/http"
	"strconv"
	"strings"
)

// builtIn is the policy that Intune applies to every device.
func builtIn(state string) *PolicyState {
	const class = "DefaultDeviceCompliancePolicy."
	return &PolicyState{
		ID: MustGUID("0a510a51-0000-4000-8000-00000000000d"), Name: "Default Device Compliance Policy", Platform: "all", State: state,
		Settings: []SettingState{
			{Setting: class + "RequireDeviceCompliancePolicyAssigned", State: state},
			{Setting: class + "RequireRemainContact", State: state},
			{Setting: class + "RequireUserExistence", State: state},
		},
	}
}

// policies are the compliance policies of a record: its own, or one that fits.
func (r row) policies() []*PolicyState {
	m := r.managed()
	if m.Policies != nil {
		return m.Policies
	}
	class, platform := "Windows10CompliancePolicy.", "windows10AndLater"
	switch r.d.OS {
	case "iOS":
		class, platform = "IosCompliancePolicy.", "iOS"
	case "Android":
		class, platform = "AndroidCompliancePolicy.", "android"
	case "macOS":
		class, platform = "MacOSCompliancePolicy.", "macOS"
	}
	state := "compliant"
	switch m.Compliance {
	case "noncompliant", "inGracePeriod":
		state = "nonCompliant"
	case "conflict", "error":
		state = m.Compliance
	case "compliant":
	default: // not evaluated, or another authority
		return []*PolicyState{builtIn("compliant")}
	}
	return []*PolicyState{{
		ID: MustGUID("0a510a51-0000-4000-8000-000000000001"), Name: platform + " baseline", Platform: platform, State: state,
		Settings: []SettingState{
			{Setting: class + "StorageRequireEncryption", State: settingState(m.Encrypted, state)},
			{Setting: class + "OsMinimumVersion", State: state, Current: r.d.OSVersion},
		},
	}, builtIn("compliant")}
}

// settingState is the state of a setting that holds: compliant; else the policy's.
func settingState(holds bool, state string) string {
	if holds {
		return "compliant"
	}
	return state
}

// policyStates lists policies without their settings, as the service does.
func (c *call) policyStates() {
	r, ok := c.managed()
	if !ok {
		return
	}
	c.collect("deviceManagement/managedDevices('"+c.params[0]+"')/deviceCompliancePolicyStates", func(b []byte) []byte {
		for i, p := range r.policies() {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(p.ID.append(append(b, `{"id":"`...)), `","displayName":`...)
			b = appendString(append(appendString(b, p.Name), `,"version":7,"platformType":`...), p.Platform)
			b = appendString(append(b, `,"settingCount":`+itoa(len(p.Settings))+`,"state":`...), p.State)
			b = append(b, `,"settingStates":[]}`...)
		}
		return b
	})
}

// settingStates is not documented by Microsoft; its own portal calls it.
func (c *call) settingStates() {
	r, ok := c.managed()
	if !ok {
		return
	}
	for _, p := range r.policies() {
		if strings.EqualFold(p.ID.String(), c.params[1]) {
			c.collect("deviceManagement/settingStates", func(b []byte) []byte { return appendSettings(b, r, p) })
			return
		}
	}
	c.fail(http.StatusNotFound, "ResourceNotFound", "Policy state was not found")
}

func appendSettings(b []byte, r row, p *PolicyState) []byte {
	for i, s := range p.Settings {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"setting":`...), s.Setting)
		b = appendString(append(b, `,"settingName":null,"instanceDisplayName":null,"state":`...), s.State) // the name is always null
		b = strconv.AppendInt(append(b, `,"errorCode":`...), s.ErrorCode, 10)
		b = append(b, `,"errorDescription":null,"userId":`...)
		user := row{d: r.d}
		if s.System || r.d.User == nil {
			b = append(b, noGUID+`,"userName":"System account","userPrincipalName":"System account"`...)
		} else {
			b = append(r.d.User.OID.append(append(b, '"')), '"')
			b = appendString(append(b, `,"userName":`...), displayName(user))
			b = appendString(append(b, `,"userPrincipalName":`...), upn(user))
		}
		b = appendStringOrNull(append(b, `,"currentValue":`...), s.Current)
		b = append(b, `,"sources":[`...)
		if !s.System {
			b = append(p.ID.append(append(b, `{"id":"`...)), `","displayName":`...)
			b = append(appendString(b, p.Name), `,"sourceType":"deviceConfiguration"}`...)
		}
		b = append(b, "]}"...)
	}
	return b
}

var clean = &Protection{State: "clean", Product: "noStatus", RealTime: true, MalwareProtection: true, Tamper: true}

// protection finds the record's Windows protection state; other systems have none.
func (c *call) protection() (r row, p *Protection, ok bool) {
	if r, ok = c.managed(); !ok {
		return r, nil, false
	}
	if p = r.managed().Protection; p == nil {
		p = clean
	}
	if !strings.HasPrefix(r.d.OS, "Windows") {
		c.fail(http.StatusNotFound, "ResourceNotFound", "The device has no Windows protection state")
		return r, nil, false
	}
	return r, p, true
}

// protectionState answers 404 on systems that are not Windows.
func (c *call) protectionState() {
	r, p, ok := c.protection()
	if !ok {
		return
	}
	b := appendString(append(c.body, `{"@odata.context":`...), c.base+c.route.metadata(c.beta)+"deviceManagement/managedDevices('"+c.params[0]+"')/windowsProtectionState/$entity")
	b = append(r.managed().ID.append(append(b, `,"id":"`...)), '"')
	for _, f := range []struct {
		name string
		on   bool
	}{
		{"malwareProtectionEnabled", p.MalwareProtection},
		{"realTimeProtectionEnabled", p.RealTime},
		{"networkInspectionSystemEnabled", p.RealTime},
		{"tamperProtectionEnabled", p.Tamper},
		{"quickScanOverdue", p.QuickScanOverdue},
		{"fullScanOverdue", p.FullScanOverdue},
		{"signatureUpdateOverdue", p.SignatureOverdue},
		{"rebootRequired", p.RebootRequired},
		{"fullScanRequired", false},
		{"isVirtualMachine", false},
	} {
		b = strconv.AppendBool(append(append(append(b, `,"`...), f.name...), `":`...), f.on)
	}
	b = appendString(append(b, `,"deviceState":`...), p.State)
	b = appendString(append(b, `,"productStatus":`...), p.Product)
	b = append(b, `,"engineVersion":"1.1.25100.9","signatureVersion":"1.441.120.0","antiMalwareVersion":"4.18.25100.9008","lastReportedDateTime":`...)
	c.body = append(appendDate(b, r.managed().LastSync), '}')
}

func (c *call) malwareState() {
	_, p, ok := c.protection()
	if !ok {
		return
	}
	c.collect("deviceManagement/detectedMalwareState", func(b []byte) []byte {
		for i, m := range p.Malware {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(append(b, `{"id":"`+itoa(2147600000+i)+`","displayName":`...), m.Name)
			b = appendString(append(b, `,"additionalInformationUrl":null,"category":"trojan","detectionCount":1,"severity":`...), m.Severity)
			b = appendString(append(b, `,"executionState":`...), m.Execution)
			b = appendString(append(b, `,"state":"detected","threatState":`...), m.Threat)
			b = appendDate(append(b, `,"initialDetectionDateTime":`...), m.Detected)
			b = append(appendDate(append(b, `,"lastStateChangeDateTime":`...), m.Detected), '}')
		}
		return b
	})
}
