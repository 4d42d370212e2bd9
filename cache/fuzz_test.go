package cache

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
	"time"
)

// FuzzSnapshot feeds the decoder bytes as they are, which must never pass, and
// the same bytes under a valid checksum and MAC, which reaches the parser
// behind them. What passes must encode to the same bytes again.
func FuzzSnapshot(f *testing.F) {
	h := Header{Kind: testKind, Version: 2, Sequence: 7, Created: time.UnixMicro(1_800_000_000_000_000)}
	whole := bytes.Join(encodeSnapshot(testKey, h, []byte("body")), nil)
	f.Add(whole[:len(whole)-snapshotTrailer])
	f.Add(whole)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, body, err := decodeSnapshot(testKey, testKind, b)
		if err == nil && !bytes.Equal(b, whole) {
			t.Fatalf("accepted a forged file with body %q", body)
		}
		if err != nil && !errors.Is(err, ErrSnapshotCorrupt) && !errors.Is(err, ErrSnapshotForeign) && !errors.Is(err, ErrSnapshotVersion) {
			t.Fatalf("untyped error %v", err)
		}

		signed := binary.BigEndian.AppendUint32(bytes.Clone(b), crc32.Checksum(b, castagnoli))
		mac := hmac.New(sha256.New, testKey)
		mac.Write(signed)
		signed = mac.Sum(signed)
		got, body, err := decodeSnapshot(testKey, testKind, signed)
		if err != nil {
			return
		}
		again := bytes.Join(encodeSnapshot(testKey, got, body), nil)
		if !bytes.Equal(again, signed) {
			t.Fatalf("decoded %x, encoded again %x", signed, again)
		}
	})
}
