package raftpb

import "encoding/binary"

// UnmarshalAliased sets m to the message that b holds. It differs from Reset and
// Unmarshal in memory alone: the data of the entries is not copied but lies in b, so
// b must not be written any more, and each entry that is kept keeps all of b. All
// entries share one array of exactly their number.
//
// An entry of two bytes takes some fifty in memory: who reads what strangers send
// bounds that beforehand, as for Unmarshal.
func (m *Message) UnmarshalAliased(b []byte) error {
	m.Reset()
	if m.unmarshalAliased(b) {
		return nil
	}
	// What is unusual, and what is wrong, is for Unmarshal to judge.
	m.Reset()
	return m.Unmarshal(b)
}

const (
	wireVarint = 0
	wireBytes  = 2

	entriesTag = 7<<3 | wireBytes
)

// unmarshalAliased reports whether it could read b, which only holds fields of the
// kinds that the messages have.
func (m *Message) unmarshalAliased(b []byte) bool {
	entries := 0
	for rest := b; len(rest) > 0; {
		f, ok := nextField(rest)
		if !ok {
			return false
		}
		if f.tag == entriesTag {
			entries++
		}
		rest = rest[f.size:]
	}
	if entries > 0 {
		m.Entries = make([]Entry, entries)
	}
	// The other fields are read by Unmarshal, a stretch of them at a time.
	read, start, at := 0, 0, 0
	for at < len(b) {
		f, _ := nextField(b[at:])
		at += f.size
		if f.tag != entriesTag {
			continue
		}
		if start < at-f.size && m.Unmarshal(b[start:at-f.size]) != nil {
			return false
		}
		if !m.Entries[read].unmarshalAliased(f.bytes) {
			return false
		}
		read++
		start = at
	}
	return start == at || m.Unmarshal(b[start:at]) == nil
}

func (e *Entry) unmarshalAliased(b []byte) bool {
	for len(b) > 0 {
		f, ok := nextField(b)
		if !ok {
			return false
		}
		switch f.tag {
		case 1<<3 | wireVarint:
			e.Type = EntryType(f.value)
		case 2<<3 | wireVarint:
			e.Term = f.value
		case 3<<3 | wireVarint:
			e.Index = f.value
		case 4<<3 | wireBytes:
			e.Data = f.bytes
		default:
			return false
		}
		b = b[f.size:]
	}
	return true
}

// field is an encoded field: its tag, its value or bytes, and how much it takes.
type field struct {
	tag, value uint64
	bytes      []byte
	size       int
}

// nextField reads the field that b, which is not empty, begins with.
func nextField(b []byte) (f field, ok bool) {
	tag, n := uvarint(b)
	if n <= 0 || tag>>3 == 0 || tag > 1<<31 {
		return f, false
	}
	value, w := uvarint(b[n:])
	if w <= 0 {
		return f, false
	}
	n += w
	switch tag & 7 {
	case wireVarint:
		return field{tag: tag, value: value, size: n}, true
	case wireBytes:
		if value > uint64(len(b)-n) {
			return f, false
		}
		end := n + int(value)
		return field{tag: tag, bytes: b[n:end:end], size: end}, true
	}
	return f, false
}

// uvarint is binary.Uvarint, faster where there is one byte.
func uvarint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}
