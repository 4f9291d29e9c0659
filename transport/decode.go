package transport

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"github.com/quorate-raft/raft/raftpb"
)

// Decoding may not cost much more memory than the frame did: an entry costs two
// bytes on the wire and entrySize in memory, so a frame full of nothing would grow
// twentyfold. Entries of correct peers have a term and an index and stay below
// decodeFactor; a few empty ones are allowed beside.
const (
	entrySize    = int(unsafe.Sizeof(raftpb.Entry{}))
	decodeFactor = 8
	decodeSlack  = 64 << 10

	entriesField = 7
)

// decodeMessage decodes a message, which keeps nothing of b.
func decodeMessage(b []byte) (*raftpb.Message, error) {
	n, ok := countEntries(b)
	if !ok {
		return nil, violation("a message that cannot be decoded")
	}
	if int64(n)*int64(entrySize) > decodeFactor*int64(len(b))+decodeSlack {
		return nil, violation("%d entries in a message of %d bytes", n, len(b))
	}
	m := new(raftpb.Message)
	if n > 0 {
		b = bytes.Clone(b) // once for the data of all entries, which stays in it: b is the reader's
	}
	if err := m.UnmarshalAliased(b); err != nil {
		return nil, violation("a message that cannot be decoded: %v", err)
	}
	return m, nil
}

// countEntries counts the entries of an encoded message without decoding it.
func countEntries(b []byte) (n int, ok bool) {
	for len(b) > 0 {
		tag, w := binary.Uvarint(b)
		if w <= 0 {
			return 0, false
		}
		b = b[w:]
		skip := 0
		switch tag & 7 {
		case 0:
			if _, skip = binary.Uvarint(b); skip <= 0 {
				return 0, false
			}
		case 1:
			skip = 8
		case 2:
			size, w := binary.Uvarint(b)
			if w <= 0 || size > uint64(len(b)-w) {
				return 0, false
			}
			skip = w + int(size)
			if tag>>3 == entriesField {
				n++
			}
		case 5:
			skip = 4
		default: // groups, which no peer sends
			return 0, false
		}
		if skip > len(b) {
			return 0, false
		}
		b = b[skip:]
	}
	return n, true
}
