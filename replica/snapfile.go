package replica

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	pb "github.com/quorate-raft/raft/raftpb"
)

// A snapshot's file is a magic number and pieces, each with its length and a
// checksum over length and bytes, the last of length 0. So a file that is cut short
// or rotten is told before anything of the bad piece is restored.

var snapshotMagic = []byte("qraftsn1")

const (
	pieceHeader = 8
	maxPiece    = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func snapshotName(index, term uint64) string { return fmt.Sprintf("%016x-%016x.snap", index, term) }

// parseSnapshotName returns false for names of other files.
func parseSnapshotName(name string) (index, term uint64, ok bool) {
	stem, found := strings.CutSuffix(name, ".snap")
	if !found || len(stem) != 33 {
		return 0, 0, false
	}
	n, err := fmt.Sscanf(stem, "%016x-%016x", &index, &term)
	return index, term, err == nil && n == 2
}

// dirs are the directories of the running replicas. Two replicas would remove each
// other's files, and are likely to be two lives of one member.
var dirs struct {
	mu   sync.Mutex
	used map[string]bool
}

// claimDir returns the absolute path of dir, which is the caller's until
// releaseDir. ErrDirInUse if it is somebody's already.
func claimDir(dir string) (string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("replica: snapshot directory: %w", err)
	}
	dirs.mu.Lock()
	defer dirs.mu.Unlock()
	if dirs.used[path] {
		return "", fmt.Errorf("%w: %s", ErrDirInUse, path)
	}
	if dirs.used == nil {
		dirs.used = map[string]bool{}
	}
	dirs.used[path] = true
	return path, nil
}

func releaseDir(path string) {
	dirs.mu.Lock()
	defer dirs.mu.Unlock()
	delete(dirs.used, path)
}

// snapshotWriter writes a snapshot's file under a name that does not count, and
// gives it its name when it is durable.
type snapshotWriter struct {
	f    *os.File
	w    *bufio.Writer
	path string          // when complete
	stop <-chan struct{} // if it is closed, writing fails
	err  error
}

func createSnapshotFile(dir string, meta *pb.SnapshotMetadata) (*snapshotWriter, error) {
	f, err := os.CreateTemp(dir, "*.tmp")
	if err != nil {
		return nil, fmt.Errorf("replica: snapshot: %w", err)
	}
	w := &snapshotWriter{f: f, w: bufio.NewWriterSize(f, maxPiece+pieceHeader), path: filepath.Join(dir, snapshotName(meta.Index, meta.Term))}
	_, w.err = w.w.Write(snapshotMagic)
	return w, nil
}

// Write appends to the body.
func (w *snapshotWriter) Write(b []byte) (int, error) {
	n := 0
	select {
	case <-w.stop:
		return 0, ErrStopped
	default:
	}
	for len(b) > 0 && w.err == nil {
		k := min(len(b), maxPiece)
		w.piece(b[:k])
		b, n = b[k:], n+k
	}
	return n, w.err
}

func (w *snapshotWriter) piece(b []byte) {
	var header [pieceHeader]byte
	binary.LittleEndian.PutUint32(header[:], uint32(len(b)))
	binary.LittleEndian.PutUint32(header[4:], pieceSum(header[:4], b))
	if _, w.err = w.w.Write(header[:]); w.err == nil {
		_, w.err = w.w.Write(b)
	}
}

func pieceSum(length, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, b)
}

// commit makes the file durable under its name.
func (w *snapshotWriter) commit() error {
	if w.err == nil {
		w.piece(nil)
	}
	if w.err == nil {
		w.err = w.w.Flush()
	}
	if w.err == nil {
		w.err = w.f.Sync()
	}
	if err := w.f.Close(); w.err == nil {
		w.err = err
	}
	if w.err == nil {
		w.err = os.Rename(w.f.Name(), w.path)
	}
	if w.err != nil {
		os.Remove(w.f.Name())
		return fmt.Errorf("replica: snapshot: %w", w.err)
	}
	return syncDir(filepath.Dir(w.path))
}

func (w *snapshotWriter) abort() {
	w.f.Close()
	os.Remove(w.f.Name())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("replica: snapshot directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("replica: snapshot directory: %w", err)
	}
	return nil
}

// bodyReader reads the body of a snapshot's file.
type bodyReader struct {
	r    *bufio.Reader
	buf  []byte
	left []byte
	end  bool
	err  error
}

// readSnapshot lets f read the body of a snapshot's file. It is an error if f does
// not read to the end, or does not pass on what was wrong.
func readSnapshot(file io.Reader, f func(*bodyReader) error) error {
	b := &bodyReader{r: bufio.NewReaderSize(file, maxPiece+pieceHeader)}
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(b.r, magic); err != nil || string(magic) != string(snapshotMagic) {
		return fmt.Errorf("%w: it begins with %q", ErrSnapshotCorrupt, magic)
	}
	if err := f(b); err != nil {
		return err
	}
	if !b.end && b.err == nil {
		// Perhaps only the end is left.
		if _, err := b.Read(make([]byte, 1)); err == nil {
			return errors.New("not all of it was read")
		}
	}
	if b.err != nil && b.err != io.EOF {
		return b.err
	}
	return nil
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	for len(b.left) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.err = b.next()
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *bodyReader) next() error {
	var header [pieceHeader]byte
	if _, err := io.ReadFull(b.r, header[:]); err != nil {
		return fmt.Errorf("%w: cut short: %w", ErrSnapshotCorrupt, noEOF(err))
	}
	size := binary.LittleEndian.Uint32(header[:])
	if size > maxPiece {
		return fmt.Errorf("%w: a piece of %d bytes", ErrSnapshotCorrupt, size)
	}
	if cap(b.buf) < int(size) {
		b.buf = make([]byte, maxPiece)
	}
	b.buf = b.buf[:size]
	if _, err := io.ReadFull(b.r, b.buf); err != nil {
		return fmt.Errorf("%w: cut short: %w", ErrSnapshotCorrupt, noEOF(err))
	}
	if sum := binary.LittleEndian.Uint32(header[4:]); pieceSum(header[:4], b.buf) != sum {
		return fmt.Errorf("%w: checksum %08x of a piece of %d bytes", ErrSnapshotCorrupt, sum, size)
	}
	if size == 0 {
		b.end = true
		return io.EOF
	}
	b.left = b.buf
	return nil
}

// noEOF keeps io.EOF in a chain from being taken for the end of the body.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
