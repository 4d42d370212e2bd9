package source

// placeholderSerials are what makers leave where a serial number belongs.
var placeholderSerials = map[string]bool{
	"0": true, "NONE": true, "UNKNOWN": true, "N/A": true, "NOT AVAILABLE": true, "NOT APPLICABLE": true,
	"NOT SPECIFIED": true, "DEFAULT STRING": true, "DEFAULTSTRING": true, "SYSTEM SERIAL NUMBER": true,
	"SYSTEMSERIALNUMBER": true, "TO BE FILLED BY O.E.M.": true, "TOBEFILLEDBYO.E.M.": true,
}

// PlaceholderSerial reports whether a serial number, in its canonical form
// ([decision.CanonicalKey]), is what a maker left where one belongs. It would make
// strangers of one make look like the same device.
func PlaceholderSerial(serial string) bool { return placeholderSerials[serial] }
