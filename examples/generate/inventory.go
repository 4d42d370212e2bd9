package main

import (
	"encoding/json"
	"time"
)

// inventory writes three devices in the JSON format of the inventory source.
func inventory(f folder, now time.Time) error {
	device := func(id, name, compliance string, more object) object {
		d := object{
			"ids": object{"entra": id}, "name": name, "platform": "windows", "os_version": "10.0.26100.2314",
			"compliance": compliance, "managed": true, "encrypted": true, "jailbroken": false, "risk": "low",
			"secure_boot": true, "ownership": "corporate", "last_check_in": now.Add(-time.Hour).UTC().Format(time.RFC3339),
		}
		for k, v := range more {
			d[k] = v
		}
		return d
	}
	raw, err := json.MarshalIndent(object{"version": 1, "devices": []object{
		device(goodID, "LAPTOP-GOOD", "compliant", nil),
		device(badID, "LAPTOP-BAD", "noncompliant", object{
			"encrypted": false, "secure_boot": false,
			"settings": []object{{"name": "Firewall", "policy": "Windows baseline", "state": "noncompliant"}},
		}),
		device(graceID, "LAPTOP-GRACE", "in_grace", object{
			"grace_until": now.AddDate(0, 0, 3).UTC().Format(time.RFC3339), "secure_boot": false,
		}),
	}}, "", "  ")
	if err != nil {
		return err
	}
	return f.write("devices.json", append(raw, '\n'))
}
