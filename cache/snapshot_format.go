package cache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// A snapshot file, big endian:
//
//	8   magic "GATESNAP"
//	2   container format, 1
//	2   length of kind
//	n   kind
//	2   version of the body
//	8   sequence
//	8   created, microseconds since 1970
//	8   length of body
//	n   body
//	4   CRC-32C of all the above
//	32  HMAC-SHA-256 of all the above
//
// The MAC alone decides whether a file is believed. The checksum only tells
// damage from a changed key, so that the operator is told the right thing.
const (
	snapshotMagic    = "GATESNAP"
	snapshotFormat   = 1
	snapshotTrailer  = crc32.Size + sha256.Size
	snapshotFixed    = 8 + 2 + 2 + 2 + 8 + 8 + 8
	snapshotOverhead = snapshotFixed + snapshotTrailer
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeSnapshot returns the parts of a file, so that a large body is not copied.
func encodeSnapshot(key []byte, h Header, body []byte) [][]byte {
	head := make([]byte, 0, snapshotFixed+len(h.Kind))
	head = append(head, snapshotMagic...)
	head = binary.BigEndian.AppendUint16(head, snapshotFormat)
	head = binary.BigEndian.AppendUint16(head, uint16(len(h.Kind)))
	head = append(head, h.Kind...)
	head = binary.BigEndian.AppendUint16(head, h.Version)
	head = binary.BigEndian.AppendUint64(head, h.Sequence)
	head = binary.BigEndian.AppendUint64(head, uint64(h.Created.UnixMicro()))
	head = binary.BigEndian.AppendUint64(head, uint64(len(body)))

	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, body)
	trailer := binary.BigEndian.AppendUint32(make([]byte, 0, snapshotTrailer), sum)
	mac := hmac.New(sha256.New, key)
	mac.Write(head)
	mac.Write(body)
	mac.Write(trailer)
	return [][]byte{head, body, mac.Sum(trailer)}
}

// decodeSnapshot opens a file. The body shares memory with b.
func decodeSnapshot(key []byte, kind string, b []byte) (Header, []byte, error) {
	if len(b) < snapshotOverhead {
		return Header{}, nil, fmt.Errorf("%w: %d bytes", ErrSnapshotCorrupt, len(b))
	}
	if string(b[:len(snapshotMagic)]) != snapshotMagic {
		return Header{}, nil, fmt.Errorf("%w: no snapshot", ErrSnapshotCorrupt)
	}
	// The format comes before the MAC: another one may compute it otherwise.
	if v := binary.BigEndian.Uint16(b[8:]); v != snapshotFormat {
		return Header{}, nil, fmt.Errorf("%w: %d", ErrSnapshotVersion, v)
	}
	content, trailer := b[:len(b)-snapshotTrailer], b[len(b)-snapshotTrailer:]
	if crc32.Checksum(content, castagnoli) != binary.BigEndian.Uint32(trailer) {
		return Header{}, nil, fmt.Errorf("%w: checksum differs", ErrSnapshotCorrupt)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(b[:len(b)-sha256.Size])
	if !hmac.Equal(mac.Sum(nil), b[len(b)-sha256.Size:]) {
		return Header{}, nil, fmt.Errorf("%w: written with another key", ErrSnapshotForeign)
	}

	rest := content[10:]
	n := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if len(rest) < n+snapshotFixed-12 {
		return Header{}, nil, fmt.Errorf("%w: kind exceeds the file", ErrSnapshotCorrupt)
	}
	h := Header{Kind: string(rest[:n])}
	rest = rest[n:]
	if h.Kind != kind {
		return Header{}, nil, fmt.Errorf("%w: of kind %q, want %q", ErrSnapshotForeign, h.Kind, kind)
	}
	h.Version = binary.BigEndian.Uint16(rest)
	h.Sequence = binary.BigEndian.Uint64(rest[2:])
	h.Created = time.UnixMicro(int64(binary.BigEndian.Uint64(rest[10:]))).UTC()
	size, body := binary.BigEndian.Uint64(rest[18:]), rest[26:]
	if size != uint64(len(body)) {
		return Header{}, nil, fmt.Errorf("%w: body has %d bytes, header says %d", ErrSnapshotCorrupt, len(body), size)
	}
	return h, body[:len(body):len(body)], nil
}
