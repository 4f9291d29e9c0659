package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2"
)

// Keys, all numbers big-endian so that they sort:
//
//	0x00 'i'                      format version and identity
//	0x01 group(8) kind(1)         one record of a group
//	0x01 group(8) kind(1) index(8)
//
// The records of a group are few and come before its entries, so that one short
// scan and one seek load a group.
const (
	spaceEngine = 0x00
	spaceGroup  = 0x01
)

// kind is what a record of a group is.
type kind byte

const (
	kindBase     kind = 1 + iota // the entry before the first
	kindHard                     // HardState
	kindConf                     // ConfState
	kindSnapshot                 // Snapshot
	kindTerm                     // a term begins at this index
	kindChange                   // a configuration entry is at this index
	kindEntry                    // Entry
	kindEnd                      // none: after all of them
)

const (
	groupKeyLen   = 10
	indexedKeyLen = 18
)

// key names a record of a group.
type key struct {
	group uint64
	kind  kind
	index uint64 // of kinds that have one
}

func (k key) indexed() bool { return k.kind >= kindTerm }

// entryIndex is the log entry that the record is about, or 0.
func (k key) entryIndex() uint64 {
	if k.indexed() {
		return k.index
	}
	return 0
}

// String names the record in words.
func (k key) String() string {
	switch k.kind {
	case kindBase:
		return "start of the log"
	case kindHard:
		return "hard state"
	case kindConf:
		return "configuration"
	case kindSnapshot:
		return "snapshot"
	case kindTerm:
		return fmt.Sprintf("start of a term at %d", k.index)
	case kindChange:
		return fmt.Sprintf("change of configuration at %d", k.index)
	case kindEntry:
		return fmt.Sprintf("entry %d", k.index)
	}
	return fmt.Sprintf("record of kind %d", k.kind)
}

// put writes the key to b, which has room for it, and returns it.
func (k key) put(b []byte) []byte {
	b = append(b[:0], spaceGroup)
	b = binary.BigEndian.AppendUint64(b, k.group)
	b = append(b, byte(k.kind))
	if k.indexed() {
		b = binary.BigEndian.AppendUint64(b, k.index)
	}
	return b
}

func (k key) bytes() []byte { return k.put(make([]byte, 0, indexedKeyLen)) }

func (k key) len() int {
	if k.indexed() {
		return indexedKeyLen
	}
	return groupKeyLen
}

// parseKey reads a key of the group space.
func parseKey(b []byte) (key, bool) {
	if len(b) < groupKeyLen || b[0] != spaceGroup {
		return key{}, false
	}
	k := key{group: binary.BigEndian.Uint64(b[1:9]), kind: kind(b[9])}
	if k.kind < kindBase || k.kind >= kindEnd || len(b) != k.len() {
		return key{}, false
	}
	if k.indexed() {
		k.index = binary.BigEndian.Uint64(b[groupKeyLen:])
	}
	return k, true
}

// groupBounds are the keys of a group, [lower, upper).
func groupBounds(group uint64) (lower, upper []byte) {
	return key{group: group}.bytes(), key{group: group, kind: kindEnd}.bytes()[:groupKeyLen]
}

// A value begins with the CRC-32C of its key and the rest, so that a record that
// is read from the wrong place is noticed as well as one that rotted.
const crcLen = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, payload)
}

var (
	errShort    = errors.New("the record is too short")
	errChecksum = errors.New("checksum mismatch")
	errMissing  = errors.New("the record is missing")
)

// unseal returns the payload of a value, as long as the value lives.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < crcLen {
		return nil, errShort
	}
	payload := value[crcLen:]
	if sum := checksum(key, payload); sum != binary.LittleEndian.Uint32(value) {
		return nil, fmt.Errorf("%w: stored %08x, computed %08x", errChecksum, binary.LittleEndian.Uint32(value), sum)
	}
	return payload, nil
}

// marshaler is a message of raftpb.
type marshaler interface {
	Size() int
	MarshalTo([]byte) (int, error)
}

// setRecord adds the record to b: prefix, if any, and then m, if any, under a
// checksum.
func setRecord(b *pebble.Batch, k key, prefix []byte, m marshaler) error {
	size := len(prefix)
	if m != nil {
		size += m.Size()
	}
	op := b.SetDeferred(k.len(), crcLen+size)
	k.put(op.Key[:0])
	payload := op.Value[crcLen:]
	n := copy(payload, prefix)
	if m != nil {
		if _, err := m.MarshalTo(payload[n:]); err != nil {
			return fmt.Errorf("pebblestore: encoding %s of group %d: %w", k, k.group, err)
		}
	}
	binary.LittleEndian.PutUint32(op.Value, checksum(op.Key, payload))
	return op.Finish()
}
