package decision

import "encoding/hex"

// KindPinnedCertificate is the kind of id that a source gives a device whose
// certificate it knows itself, so that no authority has to vouch for it (Entra ID
// alternativeSecurityIds of type 2). Make one with [PinnedCertificate].
const KindPinnedCertificate = "pinned_certificate"

// PinnedCertificate is the id of a device by its certificate: the SHA-1 of the
// certificate, as the directory keeps it, and the SHA-256 of its public key. The
// second is what protects it: nobody else has a key with that hash.
func PinnedCertificate(certificate [20]byte, publicKey [32]byte) Key {
	return Key{Kind: KindPinnedCertificate, Value: hex.EncodeToString(certificate[:]) + ":" + hex.EncodeToString(publicKey[:])}
}
