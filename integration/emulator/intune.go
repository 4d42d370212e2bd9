package emulator

import (
	"net/http"
	"time"
)

// managed finds the Intune record that the path names; otherwise it answers 404.
func (c *call) managed() (row, bool) {
	g, err := ParseGUID(c.params[0])
	slot, ok := c.s.fleet.byMDM[g]
	if err == nil && ok {
		d := c.s.fleet.devices[slot]
		for i, m := range d.Managed {
			if m.ID == g {
				return row{d: d, n: i}, true
			}
		}
	}
	c.fail(http.StatusNotFound, "ResourceNotFound", "Device "+c.params[0]+" was not found")
	return row{}, false
}

func (c *call) managedDevice() {
	if r, ok := c.managed(); ok {
		c.single(managedFields, r)
	}
}

// syncDevice makes the device check in: its next state becomes the present one.
func (c *call) syncDevice() {
	now := c.now.Truncate(time.Second)
	c.s.Update(func(*Fleet) {
		r, ok := c.managed()
		if !ok {
			return
		}
		m := r.managed()
		switch m.Agent {
		case "configurationManagerClient", "msSense", "jamf", "eas": // not enrolled with Intune
			c.refuse(http.StatusBadRequest, "BadRequest", "syncDevice is not supported for a device that is managed by "+m.Agent)
			return
		}
		if len(c.input) > 0 {
			c.refuse(http.StatusBadRequest, "BadRequest", "syncDevice takes no body")
			return
		}
		m.LastSync = now
		if m.NextCompliance != "" {
			m.Compliance, m.NextCompliance = m.NextCompliance, ""
		}
		for i, a := range m.Actions {
			if a.Name == "syncDevice" {
				m.Actions[i].At = now
				c.status = http.StatusNoContent
				return
			}
		}
		m.Actions = append(m.Actions, Action{Name: "syncDevice", State: "done", At: now})
		c.status = http.StatusNoContent
	})
}

// userDevices answers every Intune record whose primary user is the one in the path.
func (c *call) userDevices() {
	u := c.s.fleet.User(c.params[0])
	if u == nil {
		c.fail(http.StatusNotFound, "ResourceNotFound", "User was not found")
		return
	}
	col := *managedFields
	col.direct = nil
	all := col.each
	col.each = func(f *Fleet, from int64, yield func(int64, row) bool) {
		all(f, from, func(key int64, r row) bool { return r.d.User != u || yield(key, r) })
	}
	c.list(&col)
}

// deviceUsers answers the primary user, or none.
func (c *call) deviceUsers() {
	r, ok := c.managed()
	if !ok {
		return
	}
	c.collect("users", func(b []byte) []byte {
		if r.d.User == nil {
			return b
		}
		return append(appendFields(append(b, '{'), row{u: r.d.User}, userFields.defaults(), false), '}')
	})
}

// collect answers {"@odata.context":...,"value":[...]} with rows that write appends.
func (c *call) collect(context string, write func(b []byte) []byte) {
	c.body = appendString(append(c.body, `{"@odata.context":`...), c.base+c.route.metadata(c.beta)+context)
	c.body = append(c.body, `,"value":[`...)
	c.body = append(write(c.body), "]}"...)
}

// tenantSettings answers deviceManagement with its settings.
func (c *call) tenantSettings() {
	s := c.s.fleet.Settings
	c.json(map[string]any{
		"@odata.context": c.base + c.route.metadata(c.beta) + "deviceManagement(settings)/$entity",
		"settings": map[string]any{
			"deviceComplianceCheckinThresholdDays": s.CheckinDays, "isScheduledActionEnabled": true, "secureByDefault": s.SecureByDefault,
		},
	})
}

// connectors answers the threat defence partners; a silent one is unresponsive.
func (c *call) connectors() {
	c.collect("deviceManagement/mobileThreatDefenseConnectors", func(b []byte) []byte {
		for i, x := range c.s.fleet.Connectors {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(x.ID.append(append(b, `{"id":"`...)), `","lastHeartbeatDateTime":`...)
			b = appendString(append(appendDate(b, x.LastHeartbeat), `,"partnerState":`...), x.State)
			b = append(b, `,"androidEnabled":`+NullBoolOf(x.Android).String()+`,"iosEnabled":`+NullBoolOf(x.IOS).String()+`,"windowsEnabled":`+NullBoolOf(x.Windows).String()...)
			b = append(b, `,"androidDeviceBlockedOnMissingPartnerData":false,"iosDeviceBlockedOnMissingPartnerData":false,"windowsDeviceBlockedOnMissingPartnerData":false`...)
			b = append(b, `,"partnerUnsupportedOsVersionBlocked":false,"microsoftDefenderForEndpointAttachEnabled":true,"partnerUnresponsivenessThresholdInDays":`+itoa(x.ThresholdDays)+`}`...)
		}
		return b
	})
}

// overview answers managedDeviceOverview.
func (c *call) overview() {
	enrolled, comanaged, attached := 0, 0, 0
	systems := map[string]int{}
	for _, d := range c.s.fleet.devices {
		if d == nil || len(d.Managed) == 0 {
			continue
		}
		enrolled++
		systems[d.OS]++
		switch d.Managed[0].Agent {
		case "configurationManagerClientMdm", "configurationManagerClientMdmEas":
			comanaged++
		case "configurationManagerClient":
			attached++
		}
	}
	c.json(map[string]any{
		"@odata.context": c.base + c.route.metadata(c.beta) + "deviceManagement/managedDeviceOverview/$entity", "id": MustGUID("d1e2f3a4-0000-4000-8000-000000000001"),
		"enrolledDeviceCount": enrolled, "mdmEnrolledCount": enrolled - comanaged - attached, "dualEnrolledDeviceCount": comanaged,
		"deviceOperatingSystemSummary": map[string]any{
			"androidCount": systems["Android"], "iosCount": systems["iOS"], "macOSCount": systems["macOS"], "windowsCount": systems["Windows"] + systems["Windows Server"],
			"windowsMobileCount": 0, "unknownCount": 0, "configMgrDeviceCount": attached,
		},
	})
}

// complianceSummary answers deviceCompliancePolicyDeviceStateSummary.
func (c *call) complianceSummary() {
	n := map[string]int{}
	for _, d := range c.s.fleet.devices {
		if d != nil {
			for _, m := range d.Managed {
				n[m.Compliance]++
			}
		}
	}
	c.json(map[string]any{
		"@odata.context": c.base + c.route.metadata(c.beta) + "deviceManagement/deviceCompliancePolicyDeviceStateSummary/$entity", "id": MustGUID("d1e2f3a4-0000-4000-8000-000000000002"),
		"compliantDeviceCount": n["compliant"], "nonCompliantDeviceCount": n["noncompliant"], "inGracePeriodCount": n["inGracePeriod"],
		"configManagerCount": n["configManager"], "conflictDeviceCount": n["conflict"], "errorDeviceCount": n["error"],
		"unknownDeviceCount": n["unknown"], "notApplicableDeviceCount": 0, "remediatedDeviceCount": 0,
	})
}
