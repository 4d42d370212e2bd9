package emulator

import (
	"net/http"
	"strings"
)

const nacNamespace = ` xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.datacontract.org/2004/07/Microsoft.Intune.ResourceAccess.ComplianceRetrievalService.Model"`

// nacRecord is what the Compliance Retrieval service knows of one Intune device id.
type nacRecord struct {
	id                    GUID
	mac                   string
	device                *Device
	registered, compliant bool
	odd                   bool
}

// status is the text of the compliance status.
func (r *nacRecord) status() string {
	if r.odd {
		return "perhaps"
	}
	return NullBoolOf(r.compliant).String()
}

// nacOf are the records of a device. Like the real service it says compliant for a
// device in grace.
func nacOf(d *Device) []nacRecord {
	if n := d.NAC; n != nil {
		return []nacRecord{{id: n.ID, mac: d.mac(), device: d, registered: n.Registered, compliant: n.Compliant, odd: n.Odd}}
	}
	var list []nacRecord
	for _, m := range d.Managed {
		if m.Agent == "configurationManagerClient" || m.Agent == "msSense" {
			continue // not enrolled
		}
		list = append(list, nacRecord{
			id: m.ID, mac: d.mac(), device: d, registered: m.Registration == "registered",
			compliant: m.Compliance == "compliant" || m.Compliance == "inGracePeriod",
		})
	}
	return list
}

func (c *call) nacInfo() {
	const path = "/TrafficGateway/TrafficRoutingService/ResourceAccess/ComplianceRetrievalService/cisco"
	c.body = append(c.body, `<?xml version="1.0" encoding="utf-8"?><ise_api><name>mdminfo</name><api_version>3</api_version><api_path>`+path+
		`</api_path><redirect_url>https://portal.manage.microsoft.com/networkaccesscontrol/index</redirect_url><query_max_size>100</query_max_size>`+
		`<messaging_support>false</messaging_support><vendor>Microsoft</vendor><product_name>Microsoft Intune</product_name><product_version>5.0</product_version></ise_api>`...)
}

// nacDevice answers a query for one device, by Intune id or by MAC address.
func (c *call) nacDevice() {
	var found []nacRecord
	f, value := c.s.fleet, c.query.Get("value")
	switch c.query.Get("querycriteria") {
	case "guid":
		g, err := ParseGUID(value)
		if err != nil {
			c.refuse(http.StatusBadRequest, "BadRequest", "value is no guid")
			return
		}
		if i, ok := f.byMDM[g]; ok && f.devices[i] != nil {
			for _, r := range nacOf(f.devices[i]) {
				if r.id == g {
					found = append(found, r)
				}
			}
		}
	case "macaddress":
		if len(value) != 12 || strings.ToUpper(value) != value || strings.Trim(value, "0123456789ABCDEF") != "" {
			c.refuse(http.StatusBadRequest, "BadRequest", "value is no MAC address of 12 upper-case digits")
			return
		}
		for _, d := range f.devices {
			if d != nil && d.mac() == value {
				found = append(found, nacOf(d)...)
			}
		}
	default:
		c.refuse(http.StatusBadRequest, "BadRequest", "querycriteria is not supported")
		return
	}
	if c.route.name == "nac/v2" {
		c.nacPlain(found)
		return
	}
	c.nacAnswer(found, false)
}

// nacList answers all devices that are not compliant; at most once in four hours.
func (c *call) nacList() {
	var found []nacRecord
	for _, d := range c.s.fleet.devices {
		if d == nil {
			continue
		}
		for _, r := range nacOf(d) {
			if r.compliant == (c.query.Get("value") == "true") {
				found = append(found, r)
			}
		}
	}
	c.nacAnswer(found, true)
}

// nacAnswer is version 3: namespaced, Attributes and Compliance capitalised.
func (c *call) nacAnswer(found []nacRecord, list bool) {
	byMAC := c.query.Get("querycriteria") == "macaddress" || c.query.Get("deviceidentifier") == "macaddress"
	b := append(c.body, `<ise_api`+nacNamespace+`><name>attributes</name><api_version>3</api_version>`...)
	if list {
		b = append(b, `<paging_info>0</paging_info>`...)
	}
	b = append(b, `<deviceList>`...)
	for _, r := range found {
		id := "<guid>" + r.id.String() + "</guid>"
		if byMAC {
			id = "<macaddress>" + r.mac + "</macaddress>"
		}
		b = append(b, "<device>"+id+"<Attributes>"+id+"<register_status>"+NullBoolOf(r.registered).String()+
			"</register_status><Compliance><status>"+r.status()+"</status></Compliance></Attributes></device>"...)
	}
	c.body = append(b, `</deviceList></ise_api>`...)
}

// nacPlain is version 2: no namespace, lower case, more attributes.
func (c *call) nacPlain(found []nacRecord) {
	b := append(c.body, `<ise_api><name>attributes</name><api_version>2</api_version><deviceList>`...)
	for _, r := range found {
		d := r.device
		b = append(b, "<device><guid>"+r.id.String()+"</guid><macaddress>"+r.mac+"</macaddress><attributes><register_status>"+
			NullBoolOf(r.registered).String()+"</register_status><compliance><status>"+r.status()+
			"</status></compliance><model>Model 7</model><os_version>"+xmlText(d.OS+" "+d.OSVersion)+"</os_version><serial_number>"+
			xmlText(d.Serial)+"</serial_number><pin_lock_on>true</pin_lock_on></attributes></device>"...)
	}
	c.body = append(b, `</deviceList></ise_api>`...)
}
