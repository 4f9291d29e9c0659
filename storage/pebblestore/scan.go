package pebblestore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// Pebble takes damage in the newest log, and in the manifest, for the end of what
// was written before a crash, and drops what follows. That is right for the part
// that no sync covered, and loses what was acknowledged otherwise. So before
// Pebble opens the directory both files are read here, to find out whether
// anything after the damage proves that it had been synced:
//
//   - In the log, every batch begins with a watermark: up to which of Pebble's
//     sequence numbers the log was known to be synced when the batch was made.
//   - The manifest is synced after each of its records, so a record that begins
//     after the damage is proof enough.
//
// The last record of the log, if nothing was written after its sync, cannot be
// told from a torn one; no log can tell that. Close writes one more.

// watermarkLen is the length of a watermark: its mark, a number that is drawn
// each time an Engine opens, so that data cannot pass for one, and the sequence
// number.
const (
	watermarkLen  = 1 + 4 + 8
	watermarkMark = 'w'
)

func putWatermark(b *[watermarkLen]byte, nonce uint32, synced uint64) {
	b[0] = watermarkMark
	binary.BigEndian.PutUint32(b[1:], nonce)
	binary.BigEndian.PutUint64(b[5:], synced)
}

// batchHead is what the beginning of a batch in the log tells.
type batchHead struct {
	first  uint64 // its first sequence number
	last   uint64 // its last one, or the one before if it has none
	marked bool   // the rest is there
	nonce  uint32
	synced uint64
}

func readHead(p []byte) (batchHead, bool) {
	h, ok := batchrepr.ReadHeader(p)
	if !ok {
		return batchHead{}, false
	}
	head := batchHead{first: uint64(h.SeqNum), last: uint64(h.SeqNum) + uint64(h.Count) - 1}
	p = p[batchrepr.HeaderLen:]
	if len(p) >= 2+watermarkLen && p[0] == byte(pebble.InternalKeyKindLogData) && p[1] == watermarkLen && p[2] == watermarkMark {
		head.marked = true
		head.nonce = binary.BigEndian.Uint32(p[3:])
		head.synced = binary.BigEndian.Uint64(p[7:])
	}
	return head, true
}

// The format of log files (package record of Pebble): blocks of 32 KiB with
// chunks that do not cross them. A chunk has a header of checksum (4 bytes),
// length (2), type (1), and in logs the number of the log (4) and, of the newest
// types, an offset (8).
const blockLen = 32 << 10

type chunk struct {
	begins, ends bool // a record
	payload      []byte
	next         int // where the next chunk begins
}

var chunkHeaderLen = [13]int{1: 7, 7, 7, 7, 11, 11, 11, 11, 19, 19, 19, 19}

// parseChunk reads the chunk at b[at:]. Log is the number of the log, or
// noLog for the manifest.
func parseChunk(b []byte, at int, log int64) (chunk, bool) {
	if at+7 > len(b) || int(b[at+6]) >= len(chunkHeaderLen) {
		return chunk{}, false
	}
	header := chunkHeaderLen[b[at+6]]
	length := int(binary.LittleEndian.Uint16(b[at+4:]))
	next := at + header + length
	if header == 0 || next > len(b) || (header == 7) != (log == noLog) {
		return chunk{}, false
	}
	if log != noLog && binary.LittleEndian.Uint32(b[at+7:]) != uint32(log) {
		return chunk{}, false
	}
	sum := crc32.Checksum(b[at+6:next], castagnoli)
	if sum>>15|sum<<17+0xa282ead8 == 0 || binary.LittleEndian.Uint32(b[at:]) != (sum>>15|sum<<17)+0xa282ead8 {
		return chunk{}, false
	}
	position := (b[at+6] - 1) % 4 // full, first, middle, last
	return chunk{
		begins: position <= 1, ends: position == 0 || position == 3,
		payload: b[at+header : next], next: next,
	}, true
}

const noLog = -1

// scanner goes through a log file, first from chunk to chunk and, once one is
// damaged, from byte to byte.
type scanner struct {
	log    int64 // its number, or noLog
	hole   int64 // offset of the first damage, or -1
	ended  bool  // the log was closed in good order
	record batchHead
	// known says that a whole record came before the damage, good is the last
	// sequence number of that, nonce what marks this log's batches.
	known bool
	good  uint64
	nonce uint32
	// Of what comes after the damage: the first sequence number and the highest
	// watermark; or, in a manifest, that a record begins.
	after  bool
	first  uint64
	synced uint64
}

// proof says why the damage, if there is any, cannot be the end of what was
// written before a crash.
func (s *scanner) proof() error {
	switch {
	case s.hole < 0 || !s.after:
		return nil
	case s.log == noLog:
		return fmt.Errorf("damaged at offset %d, and a later record shows that this had been synced", s.hole)
	case s.known && s.synced > s.good, !s.known && s.synced+1 >= s.first:
		return fmt.Errorf("damaged at offset %d: what had been synced up to sequence number %d ends with %d",
			s.hole, s.synced, s.good)
	}
	return nil
}

// block scans one block, which begins at offset.
func (s *scanner) block(b []byte, offset int64) {
	at := 0
	for s.hole < 0 && !s.ended {
		if c, ok := parseChunk(b, at, s.log); ok {
			s.whole(c)
			at = c.next
			continue
		}
		switch {
		case s.log != noLog && isTrailer(b, at, s.log):
			s.ended = true
		case len(bytes.Trim(b[at:], "\x00")) == 0 && len(b)-at < 19:
			return // no room for a chunk: the next block goes on, if there is one
		default:
			s.hole = offset + int64(at)
			at++
		}
	}
	for !s.ended && at < len(b) {
		c, ok := parseChunk(b, at, s.log)
		if !ok {
			at++
			continue
		}
		s.found(c)
		at = c.next
	}
}

// whole takes a chunk before any damage.
func (s *scanner) whole(c chunk) {
	if s.log == noLog {
		return
	}
	if c.begins {
		s.record, _ = readHead(c.payload)
	}
	if c.ends {
		s.known, s.good = true, s.record.last
		if s.record.marked {
			s.nonce = s.record.nonce
		}
	}
}

// found takes a chunk after the damage.
func (s *scanner) found(c chunk) {
	if !c.begins {
		return
	}
	if s.log == noLog {
		s.after = true
		return
	}
	head, ok := readHead(c.payload)
	if !ok || !head.marked || (s.known && s.nonce != head.nonce) {
		return
	}
	if !s.after {
		s.after, s.first = true, head.first
	}
	s.synced = max(s.synced, head.synced)
}

// isTrailer reports whether the log was closed here: it ends with an empty chunk
// of the next log.
func isTrailer(b []byte, at int, log int64) bool {
	return at+11 <= len(b) && binary.LittleEndian.Uint32(b[at:]) == 0 && binary.LittleEndian.Uint16(b[at+4:]) == 0 &&
		b[at+6] == 5 && binary.LittleEndian.Uint32(b[at+7:]) == uint32(log)+1
}

// scan reads a file.
func scan(fs vfs.FS, name string, log int64) (*scanner, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("pebblestore: %w", err)
	}
	defer f.Close()
	s := &scanner{log: log, hole: -1}
	b := make([]byte, blockLen)
	for offset := int64(0); !s.ended; offset += blockLen {
		n, err := io.ReadFull(f, b)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("pebblestore: reading %s: %w", name, err)
		}
		s.block(b[:n], offset)
		if n < blockLen {
			break
		}
	}
	return s, nil
}

// checkFile returns a CorruptionError if the file is damaged where it had been
// synced.
func checkFile(fs vfs.FS, name string, log int64) error {
	s, err := scan(fs, name, log)
	if err != nil {
		return err
	}
	if err := s.proof(); err != nil {
		return &CorruptionError{File: name, Err: err}
	}
	return nil
}

// isUnborn reports whether a crash interrupted the creation of the store: Pebble
// has written nothing yet but files that are about others.
func isUnborn(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".log") || isFormatMarker(name)
	})
}

// isFormatMarker reports whether a file is what Pebble writes when a new store is
// complete.
func isFormatMarker(name string) bool { return strings.HasPrefix(name, "marker.format-version.") }

// removeMarkers removes what names a manifest that did not survive the crash:
// Pebble would refuse the directory for ever.
func removeMarkers(fs vfs.FS, dir string, names []string) error {
	for _, name := range names {
		if !strings.HasPrefix(name, manifestMarker) {
			continue
		}
		if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
			return fmt.Errorf("pebblestore: clearing an unfinished store: %w", err)
		}
	}
	return nil
}

// revertMarker goes back to the newest manifest that is there and that a marker names,
// and returns its name, "" if there is none. Pebble makes a new manifest and its
// marker durable by one sync of the directory, and writes nothing to the new one
// before; so where a crash in between kept the marker and not the manifest, the one
// before is all there is. A diskguard.FS does not let it come to that; a copy of a
// directory, or a disk that keeps no order of syncs, may.
func revertMarker(fs vfs.FS, dir string, names []string) (string, error) {
	type marker struct {
		file, manifest string
		iter           uint64
	}
	var markers []marker
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, manifestMarker)
		iter, manifest, found := strings.Cut(rest, ".")
		if n, err := strconv.ParseUint(iter, 10, 64); ok && found && err == nil {
			markers = append(markers, marker{name, manifest, n})
		}
	}
	slices.SortFunc(markers, func(a, b marker) int { return cmp.Compare(b.iter, a.iter) })
	for i, m := range markers {
		if !slices.Contains(names, m.manifest) {
			continue
		}
		for _, newer := range markers[:i] {
			if err := fs.Remove(fs.PathJoin(dir, newer.file)); err != nil {
				return "", fmt.Errorf("pebblestore: clearing what a crash left: %w", err)
			}
		}
		return m.manifest, nil
	}
	return "", nil
}

// manifestMarker begins the names of the files that name the manifest.
const manifestMarker = "marker.manifest."

var errNoManifest = errors.New("the manifest, or what names it, is missing")

// checkFiles checks the manifest and the newest log of a directory. Pebble itself
// insists on older logs being whole.
func checkFiles(fs vfs.FS, dir string) error {
	desc, err := pebble.Peek(dir, fs)
	if err != nil {
		return fmt.Errorf("pebblestore: looking into %s: %w", dir, err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("pebblestore: %w", err)
	}
	if !desc.Exists {
		if slices.ContainsFunc(names, isFormatMarker) {
			return &CorruptionError{File: dir, Err: errNoManifest} // Pebble would begin a new store
		}
		return nil
	}
	manifest := fs.PathBase(desc.ManifestFilename)
	if !slices.Contains(names, manifest) && isUnborn(names) {
		return removeMarkers(fs, dir, names)
	}
	if !slices.Contains(names, manifest) {
		older, err := revertMarker(fs, dir, names)
		if err != nil {
			return err
		}
		if older == "" {
			return &CorruptionError{File: fs.PathJoin(dir, manifest), Err: errNoManifest}
		}
		manifest = older
	}
	if err := checkFile(fs, fs.PathJoin(dir, manifest), noLog); err != nil {
		return err
	}
	logs := logFiles(names)
	if len(logs) == 0 {
		return nil
	}
	newest := logs[len(logs)-1]
	return checkFile(fs, fs.PathJoin(dir, newest.name), newest.number)
}

type logFile struct {
	name   string
	number int64
}

// logFiles returns which of the names are logs, oldest first.
func logFiles(names []string) []logFile {
	var logs []logFile
	for _, name := range names {
		if number, _, ok := wal.ParseLogFilename(name); ok {
			logs = append(logs, logFile{name, int64(uint32(number))})
		}
	}
	slices.SortFunc(logs, func(a, b logFile) int { return cmp.Compare(a.number, b.number) })
	return logs
}

// damagedLog returns the oldest log that does not end in good order, for an error
// of Pebble that does not name it.
func damagedLog(fs vfs.FS, dir string) string {
	names, err := fs.List(dir)
	if err != nil {
		return dir
	}
	for _, log := range logFiles(names) {
		name := fs.PathJoin(dir, log.name)
		if s, err := scan(fs, name, log.number); err == nil && !s.ended {
			return name
		}
	}
	return dir
}
