package raftpb

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

// The tags of the fields that messages have every day: number and kind, a varint or bytes.
const (
	wireVarint = 0
	wireBytes  = 2

	tagType       = 1<<3 | wireVarint
	tagTo         = 2<<3 | wireVarint
	tagFrom       = 3<<3 | wireVarint
	tagTerm       = 4<<3 | wireVarint
	tagLogTerm    = 5<<3 | wireVarint
	tagIndex      = 6<<3 | wireVarint
	tagEntries    = 7<<3 | wireBytes
	tagCommit     = 8<<3 | wireVarint
	tagReject     = 10<<3 | wireVarint
	tagRejectHint = 11<<3 | wireVarint
	tagContext    = 12<<3 | wireBytes
	tagNoAnswer   = 100<<3 | wireVarint
	tagRound      = 101<<3 | wireVarint
	tagLeaseTicks = 102<<3 | wireVarint
	tagSession    = 103<<3 | wireVarint
	tagFeatures   = 104<<3 | wireVarint
	tagSleep      = 105<<3 | wireVarint

	tagEntryType  = 1<<3 | wireVarint
	tagEntryTerm  = 2<<3 | wireVarint
	tagEntryIndex = 3<<3 | wireVarint
	tagEntryData  = 4<<3 | wireBytes
)

// unmarshalAliased reads b, and reports false where there is anything unusual in it.
func (m *Message) unmarshalAliased(b []byte) bool {
	for i := 0; i < len(b); {
		tag, value, at := field(b, i)
		if at < 0 {
			return false
		}
		i = at
		switch tag {
		case tagType:
			m.Type = MessageType(value)
		case tagTo:
			m.To = value
		case tagFrom:
			m.From = value
		case tagTerm:
			m.Term = value
		case tagLogTerm:
			m.LogTerm = value
		case tagIndex:
			m.Index = value
		case tagEntries:
			if value > uint64(len(b)-i) {
				return false
			}
			end := i + int(value)
			if m.Entries == nil {
				m.Entries = make([]Entry, 0, 1+countEntries(b[end:]))
			}
			m.Entries = append(m.Entries, Entry{})
			if !m.Entries[len(m.Entries)-1].unmarshalAliased(b[i:end]) {
				return false
			}
			i = end
		case tagCommit:
			m.Commit = value
		case tagReject:
			m.Reject = value != 0
		case tagRejectHint:
			m.RejectHint = value
		case tagContext:
			if value > uint64(len(b)-i) {
				return false
			}
			m.Context = append([]byte{}, b[i:i+int(value)]...)
			i += int(value)
		case tagNoAnswer:
			m.NoAnswer = value != 0
		case tagRound:
			m.Round = value
		case tagLeaseTicks:
			m.LeaseTicks = value
		case tagSession:
			m.Session = value
		case tagFeatures:
			m.Features = value
		case tagSleep:
			m.Sleep = value != 0
		default:
			return false
		}
	}
	return true
}

// countEntries counts the entries in b, a message's fields, up to the first unusual one.
func countEntries(b []byte) (n int) {
	for i := 0; i < len(b); {
		tag, value, at := field(b, i)
		if at < 0 {
			return n
		}
		i = at
		switch tag & 7 {
		case wireVarint:
		case wireBytes:
			if value > uint64(len(b)-i) {
				return n
			}
			i += int(value)
		default:
			return n
		}
		if tag == tagEntries {
			n++
		}
	}
	return n
}

func (e *Entry) unmarshalAliased(b []byte) bool {
	for i := 0; i < len(b); {
		tag, value, at := field(b, i)
		if at < 0 {
			return false
		}
		i = at
		switch tag {
		case tagEntryType:
			e.Type = EntryType(value)
		case tagEntryTerm:
			e.Term = value
		case tagEntryIndex:
			e.Index = value
		case tagEntryData:
			if value > uint64(len(b)-i) {
				return false
			}
			end := i + int(value)
			e.Data = b[i:end:end]
			i = end
		default:
			return false
		}
	}
	return true
}

// field reads what a field begins with, a tag and a number, at b[i], and returns what comes
// after them: -1 if they are not there.
func field(b []byte, i int) (tag, value uint64, end int) {
	if i+2 < len(b) && b[i] < 0x80 { // as mostly, and the number has a byte or two
		tag, low, high := uint64(b[i]), uint64(b[i+1]), uint64(b[i+2])
		if low < 0x80 {
			return tag, low, i + 2
		}
		if high < 0x80 {
			return tag, low&0x7f | high<<7, i + 3
		}
	}
	if tag, i = varint(b, i); i < 0 {
		return 0, 0, -1
	}
	value, i = varint(b, i)
	return tag, value, i
}

// varint reads numbers of up to 63 bits.
func varint(b []byte, i int) (value uint64, end int) {
	for shift := 0; i < len(b) && shift < 63; shift += 7 {
		c := b[i]
		i++
		value |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return value, i
		}
	}
	return 0, -1
}
