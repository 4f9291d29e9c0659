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

	clientRecord  = 'c'
	keyRecord     = 'k'
	keysEnd       = 'l'
	membersRecord = 'm'
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

// meta says which generation is the state, and the index that it is of.
type meta struct {
	generation, applied uint64
}

const metaLen = 1 + 8 + 8

func (m meta) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, formatVersion), m.generation)
	return binary.BigEndian.AppendUint64(dst, m.applied)
}

func parseMeta(b []byte) (m meta, err error) {
	if len(b) != metaLen || b[0] != formatVersion {
		return m, fmt.Errorf("%w: the record of the state is %x", ErrFormat, b)
	}
	return meta{generation: binary.BigEndian.Uint64(b[1:]), applied: binary.BigEndian.Uint64(b[9:])}, nil
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
