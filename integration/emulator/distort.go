package emulator

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// enums are the properties that UnknownEnums changes.
var enums = []string{
	"complianceState", "managementAgent", "managementState", "partnerReportedThreatState", "deviceRegistrationState",
	"deviceEnrollmentType", "managedDeviceOwnerType", "jailBroken", "state", "threatState", "severity", "platformType",
	"trustType", "profileType", "deviceOwnership", "riskLevel", "riskState", "riskDetail", "partnerState",
	"riskScore", "exposureLevel", "healthStatus", "onboardingStatus", "deviceValue", "status",
}

// distort applies the fault that changes the finished JSON answer.
func (c *call) distort() {
	kind := c.after.Kind
	var doc map[string]any
	if kind == HalfPage || kind == WrongAudience || json.Unmarshal(c.body, &doc) != nil {
		return
	}
	list, isList := doc["value"].([]any)
	switch kind {
	case ForeignNextLink:
		doc["@odata.nextLink"] = "https://graph.attacker.example/v1.0/devices?$skiptoken=steal"
		delete(doc, "@odata.deltaLink")
	case ShortPage:
		doc["value"] = list[:len(list)/2]
		delete(doc, "@odata.nextLink")
	case DuplicateRows:
		doc["value"] = slices.Concat(list, list)
	default:
		if !isList {
			c.distortRow(doc)
		}
		for _, r := range list {
			if r, ok := r.(map[string]any); ok {
				c.distortRow(r)
			}
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err) // it was JSON before
	}
	c.body = append(c.body[:0], b...)
}

func (c *call) distortRow(r map[string]any) {
	for name, v := range r {
		_, isText := v.(string)
		switch c.after.Kind {
		case UnknownEnums:
			if isText && slices.Contains(enums, name) {
				r[name] = "valueOfTheYear2031"
			} else if v, ok := v.(float64); ok && strings.HasPrefix(name, "EP") && v > 0 {
				r[name] = 77
			}
		case NullFields:
			if !identifies(name) {
				r[name] = nil
			}
		case FutureDates:
			if isText && isDate(name) {
				r[name] = c.now.Add(400 * 24 * time.Hour).UTC().Format(time.RFC3339)
			}
		}
	}
}

// identifies: without these a row is not that row any more.
func identifies(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(name, "@") || strings.HasSuffix(lower, "id") || strings.HasPrefix(lower, "id") && len(name) == 2
}

func isDate(name string) bool {
	return strings.HasSuffix(name, "DateTime") || strings.HasSuffix(name, "Date") || strings.HasSuffix(name, "Seen") ||
		strings.HasPrefix(name, "Last") || strings.HasSuffix(name, "Time")
}
