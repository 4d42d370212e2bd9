package identity

import "encoding/hex"

// decodeGUID reads a GUID in the byte order of Windows, in which the first
// three groups are little-endian ([MS-DTYP] 2.3.4.2), and returns its text in
// lower case. It accepts the 16 bytes alone or as a DER OCTET STRING with a
// short (04 10) or needlessly long (04 81 10) length: Intune certificates
// in the field carry all three. Anything else is refused.
func decodeGUID(b []byte) (string, bool) {
	switch {
	case len(b) == 16:
	case len(b) == 18 && b[0] == 0x04 && b[1] == 0x10:
		b = b[2:]
	case len(b) == 19 && b[0] == 0x04 && b[1] == 0x81 && b[2] == 0x10:
		b = b[3:]
	default:
		return "", false
	}
	ordered := [16]byte{
		b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6],
		b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15],
	}
	var text [36]byte
	hex.Encode(text[0:8], ordered[0:4])
	hex.Encode(text[9:13], ordered[4:6])
	hex.Encode(text[14:18], ordered[6:8])
	hex.Encode(text[19:23], ordered[8:10])
	hex.Encode(text[24:36], ordered[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:]), true
}
