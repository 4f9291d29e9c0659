package store

import (
	"encoding/binary"
	"fmt"
)

// formatVersion is of what is kept in Pebble.
const formatVersion = 1

// The first bytes of Pebble's keys, and what the records of a generation begin with.
// The package documentation has the whole layout.
const (
	metaByte       = 0x00
	generationByte = 0x01

	clientRecord     = 'c'
	keyRecord        = 'k'
	keysEnd          = 'l'
	membersRecord    = 'm'
	openMemberRecord = 'o'
)

var metaKey = []byte{metaByte}

// prefixLen is the length of what comes before a record's key.
const prefixLen = 1 + 8

// generationPrefix returns what all keys of a generation begin with.
func generationPrefix(generation uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{generationByte}, generation)
}

// appendKey appends Pebble's key of a user's key.
func appendKey(dst []byte, generation uint64, key []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, generationByte), generation)
	return append(append(dst, keyRecord), key...)
}

// appendClientKey appends Pebble's key of a client.
func appendClientKey(dst []byte, generation, client uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, generationByte), generation)
	return binary.BigEndian.AppendUint64(append(dst, clientRecord), client)
}

// meta says which generation is the state, the index that it is of, and whose the
// directory is.
type meta struct {
	generation, applied uint64
	owner               identity
}

const metaLen = 1 + 4*8

func (m meta) append(dst []byte) []byte {
	dst = append(dst, formatVersion)
	for _, n := range []uint64{m.generation, m.applied, m.owner.cluster, m.owner.node} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	return dst
}

func parseMeta(b []byte) (m meta, err error) {
	if len(b) != metaLen || b[0] != formatVersion {
		return m, fmt.Errorf("%w: the record of the state is %x", ErrFormat, b)
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }
	return meta{generation: at(0), applied: at(1), owner: identity{cluster: at(2), node: at(3)}}, nil
}

// revisionLen is how many bytes of a key's record are before its value.
const revisionLen = 8

// parseEntry takes a key's record apart.
func parseEntry(record []byte) (revision uint64, value []byte, err error) {
	if len(record) < revisionLen {
		return 0, nil, fmt.Errorf("store: the record of a key has %d bytes", len(record))
	}
	return binary.BigEndian.Uint64(record), record[revisionLen:], nil
}
