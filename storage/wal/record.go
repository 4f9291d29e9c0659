package wal

import (
	"encoding/binary"
	"fmt"

	pb "github.com/quorate-raft/raft/raftpb"
)

// kind is what a record is. The numbers are the format's.
type kind uint8

const (
	// kindState is all that is known of a group but the entries and the snapshot
	// themselves, which it says the positions of. It is the first record of a group.
	kindState kind = iota + 1
	// kindEntry is an entry, in place of the log from its index on.
	kindEntry
	kindHard
	kindConf
	// kindSnapshot is a snapshot that was made here, kindInstall one that was
	// received and is in place of the whole log.
	kindSnapshot
	kindInstall
	kindCompact
	kindDestroy
	// kindEntryCopy and kindSnapshotCopy are what was written before, moved to where
	// it keeps no old file. Only positions in a later kindState lead there.
	kindEntryCopy
	kindSnapshotCopy
	// These are of no group: the log was opened, it was closed in good order, the
	// segments before a number are not needed any more.
	kindOpened
	kindClosed
	kindRetired
	kindEnd
)

// String returns the kind in words.
func (k kind) String() string {
	names := [...]string{
		kindState: "state", kindEntry: "entry", kindHard: "hard state", kindConf: "configuration",
		kindSnapshot: "snapshot", kindInstall: "received snapshot", kindCompact: "compaction", kindDestroy: "end",
		kindEntryCopy: "moved entry", kindSnapshotCopy: "moved snapshot",
		kindOpened: "opening mark", kindClosed: "closing mark", kindRetired: "retirement",
	}
	if int(k) >= len(names) || k == 0 {
		return fmt.Sprintf("record of kind %d", uint8(k))
	}
	return names[k]
}

// recordHeaderLen: checksum of the rest, size of all, group, kind.
const recordHeaderLen = 4 + 4 + 8 + 1

// entryBodyLen is what the body of an entry has before its data: term, index, type.
const entryBodyLen = 8 + 8 + 4

const entryOverhead = recordHeaderLen + entryBodyLen

// record is one that was read.
type record struct {
	group uint64
	kind  kind
	body  []byte
	size  int
}

// parseRecord reads the record that b begins with.
func parseRecord(b []byte) (r record, err error) {
	if len(b) < recordHeaderLen {
		return r, errMalformed
	}
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	if size < recordHeaderLen || size > int64(len(b)) {
		return r, errMalformed
	}
	if checksum(b[4:size]) != binary.LittleEndian.Uint32(b) {
		return r, errChecksum
	}
	r.group = binary.LittleEndian.Uint64(b[8:])
	r.kind = kind(b[16])
	r.body, r.size = b[recordHeaderLen:size], int(size)
	if r.kind == 0 || r.kind >= kindEnd {
		return r, errMalformed
	}
	return r, nil
}

// beginRecord makes room at the end of b for a record with a body of so many bytes,
// which has to be there already, and returns b and the record; sealRecord ends it.
func beginRecord(b []byte, group uint64, k kind, body int) (grown, rec []byte) {
	size := recordHeaderLen + body
	at := len(b)
	grown = b[:at+size]
	rec = grown[at:]
	binary.LittleEndian.PutUint32(rec[4:], uint32(size))
	binary.LittleEndian.PutUint64(rec[8:], group)
	rec[16] = byte(k)
	return grown, rec
}

func sealRecord(rec []byte) { binary.LittleEndian.PutUint32(rec, checksum(rec[4:])) }

// putEntry appends an entry's record.
func putEntry(b []byte, group uint64, e *pb.Entry) []byte {
	b, rec := beginRecord(b, group, kindEntry, entryBodyLen+len(e.Data))
	body := rec[recordHeaderLen:]
	binary.LittleEndian.PutUint64(body, e.Term)
	binary.LittleEndian.PutUint64(body[8:], e.Index)
	binary.LittleEndian.PutUint32(body[16:], uint32(e.Type))
	copy(body[entryBodyLen:], e.Data)
	sealRecord(rec)
	return b
}

// parseEntry reads an entry, whose data stays where it is.
func parseEntry(body []byte) (pb.Entry, error) {
	if len(body) < entryBodyLen {
		return pb.Entry{}, errMalformed
	}
	e := pb.Entry{
		Term:  binary.LittleEndian.Uint64(body),
		Index: binary.LittleEndian.Uint64(body[8:]),
		Type:  pb.EntryType(int32(binary.LittleEndian.Uint32(body[16:]))),
	}
	if len(body) > entryBodyLen {
		e.Data = body[entryBodyLen:len(body):len(body)]
	}
	return e, nil
}

const hardBodyLen = 3 * 8

// putHard appends a hard state's record.
func putHard(b []byte, group uint64, hs pb.HardState) []byte {
	b, rec := beginRecord(b, group, kindHard, hardBodyLen)
	binary.LittleEndian.PutUint64(rec[recordHeaderLen:], hs.Term)
	binary.LittleEndian.PutUint64(rec[recordHeaderLen+8:], hs.Vote)
	binary.LittleEndian.PutUint64(rec[recordHeaderLen+16:], hs.Commit)
	sealRecord(rec)
	return b
}

func parseHard(body []byte) (pb.HardState, error) {
	if len(body) != hardBodyLen {
		return pb.HardState{}, errMalformed
	}
	return pb.HardState{
		Term:   binary.LittleEndian.Uint64(body),
		Vote:   binary.LittleEndian.Uint64(body[8:]),
		Commit: binary.LittleEndian.Uint64(body[16:]),
	}, nil
}

// putNumber appends a record whose body is one number.
func putNumber(b []byte, group uint64, k kind, n uint64) []byte {
	b, rec := beginRecord(b, group, k, 8)
	binary.LittleEndian.PutUint64(rec[recordHeaderLen:], n)
	sealRecord(rec)
	return b
}

func appendNumber(b []byte, n uint64) []byte { return binary.LittleEndian.AppendUint64(b, n) }

func parseNumber(body []byte) (uint64, error) {
	if len(body) != 8 {
		return 0, errMalformed
	}
	return binary.LittleEndian.Uint64(body), nil
}

// putBytes appends a record with a body that was made before.
func putBytes(b []byte, group uint64, k kind, body []byte) []byte {
	b, rec := beginRecord(b, group, k, len(body))
	copy(rec[recordHeaderLen:], body)
	sealRecord(rec)
	return b
}

// confBody is the body of a configuration's record.
func confBody(cs *pb.ConfState, at uint64) ([]byte, error) {
	body := binary.LittleEndian.AppendUint64(nil, at)
	encoded, err := cs.Marshal()
	return append(body, encoded...), err
}

func parseConf(body []byte) (cs pb.ConfState, at uint64, err error) {
	if len(body) < 8 {
		return cs, 0, errMalformed
	}
	return cs, binary.LittleEndian.Uint64(body), cs.Unmarshal(body[8:])
}
