package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"unsafe"
)

// formatVersion is the version of the format that this program writes.
const formatVersion = 1

// blockSize is what everything that is written at once is a multiple of: no disk
// writes less of its own accord, so no write touches what was synced before.
const blockSize = 4096

// firstPosition is where a new log begins. Position 0 is none.
const firstPosition = blockSize

const (
	segmentSuffix = ".wal"
	spareSuffix   = ".spare"
	lockName      = "LOCK"
	segmentDigits = 16
)

var (
	errChecksum  = errors.New("the checksum does not match")
	errHeader    = errors.New("the header of the file is not what was written")
	errForeign   = errors.New("the file is of another log")
	errSynced    = errors.New("it had been synced: there is more after it")
	errMissing   = errors.New("it is missing")
	errOrder     = errors.New("the records contradict each other")
	errMalformed = errors.New("it is malformed")
)

// segmentName returns the name of the file with a number.
func segmentName(seq uint64) string {
	return fmt.Sprintf("%0*x%s", segmentDigits, seq, segmentSuffix)
}

func spareName(seq uint64) string {
	return fmt.Sprintf("%0*x%s", segmentDigits, seq, spareSuffix)
}

// parseName returns the number in the name of a segment or a spare.
func parseName(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != segmentDigits {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 16, 64)
	return seq, err == nil && seq > 0
}

func isSegment(name string) bool {
	_, ok := parseName(name, segmentSuffix)
	return ok
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// logID tells the files of one directory from those of all others.
type logID [16]byte

// segmentHeader is the first block of a segment. It is durable before the segment
// has its name.
type segmentHeader struct {
	version       uint32
	id            logID
	seq           uint64
	cluster, node uint64
}

const (
	segmentMagic     = "quorwal\n"
	segmentHeaderLen = 8 + 4 + 16 + 8 + 8 + 8
)

// put fills the first block of a segment.
func (h *segmentHeader) put(block []byte) {
	b := append(block[:0], segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, h.version)
	b = append(b, h.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.seq)
	b = binary.LittleEndian.AppendUint64(b, h.cluster)
	b = binary.LittleEndian.AppendUint64(b, h.node)
	binary.LittleEndian.AppendUint32(b, checksum(b))
}

// parse reads the first block of a segment.
func (h *segmentHeader) parse(block []byte) error {
	if len(block) < segmentHeaderLen+4 {
		return errHeader
	}
	b := block[:segmentHeaderLen]
	if string(b[:8]) != segmentMagic || binary.LittleEndian.Uint32(block[segmentHeaderLen:]) != checksum(b) {
		return errHeader
	}
	h.version = binary.LittleEndian.Uint32(b[8:])
	copy(h.id[:], b[12:])
	h.seq = binary.LittleEndian.Uint64(b[28:])
	h.cluster = binary.LittleEndian.Uint64(b[36:])
	h.node = binary.LittleEndian.Uint64(b[44:])
	return nil
}

// batchHeader is before the records of a batch, which are written and synced at
// once. It is bound to its place by the position, which no other batch of the
// log ever has but one that a crash tore before, and by the segment's number.
type batchHeader struct {
	sum      uint32 // of the header
	payload  uint32 // checksum of the records
	size     uint32 // of the records
	position uint64
	seq      uint64
	// previous is sum of the batch before.
	previous uint32
}

const batchHeaderLen = 4 + 4 + 4 + 8 + 8 + 4

// put writes the header of a batch whose records are complete, and sets sum.
func (h *batchHeader) put(b []byte, id *logID) {
	binary.LittleEndian.PutUint32(b[4:], h.payload)
	binary.LittleEndian.PutUint32(b[8:], h.size)
	binary.LittleEndian.PutUint64(b[12:], h.position)
	binary.LittleEndian.PutUint64(b[20:], h.seq)
	binary.LittleEndian.PutUint32(b[28:], h.previous)
	h.sum = headerSum(b, id)
	binary.LittleEndian.PutUint32(b, h.sum)
}

// parse reads a header and reports whether it is one of this log.
func (h *batchHeader) parse(b []byte, id *logID) bool {
	if len(b) < batchHeaderLen {
		return false
	}
	h.sum = binary.LittleEndian.Uint32(b)
	h.payload = binary.LittleEndian.Uint32(b[4:])
	h.size = binary.LittleEndian.Uint32(b[8:])
	h.position = binary.LittleEndian.Uint64(b[12:])
	h.seq = binary.LittleEndian.Uint64(b[20:])
	h.previous = binary.LittleEndian.Uint32(b[28:])
	return h.sum == headerSum(b, id) && h.position%blockSize == 0 && h.position != 0
}

// headerSum begins with the log's ID, so that nothing that was written through
// it, but by it, passes for a header.
func headerSum(b []byte, id *logID) uint32 {
	return crc32.Update(checksum(id[:]), castagnoli, b[4:batchHeaderLen])
}

// blocks returns n rounded up to whole blocks.
func blocks[T int | int64 | uint64](n T) T { return (n + blockSize - 1) &^ (blockSize - 1) }

// alignedBytes returns n bytes that begin at a multiple of blockSize, as writes
// past the cache need. The collector does not move them.
func alignedBytes(n int) []byte {
	b := make([]byte, n+blockSize)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (blockSize - 1))
	return b[skip : skip+n : skip+n]
}
