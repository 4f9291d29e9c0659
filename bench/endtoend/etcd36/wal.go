package etcd36

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/bench/load"
)

// segmentSize is that of a file; there are so many at first that a log that is compacted needs no more.
const (
	segmentSize = 8 << 20
	segments    = 4
)

// The types of records.
const (
	recordSnapshot = 1 + iota
	recordState
	recordEntry
)

// recordHead is the length of a record's body and its type, together in four bytes, and a checksum in four.
const recordHead = 8

// wal is a log in files that have their length and zeros from the beginning, so that a sync has no more to write than
// the data. A Ready is one write, and one sync if it needs that. A file whose entries are compacted is
// written anew: the checksums are seeded by how many files came before, so that what is left there is no record.
type wal struct {
	dir      string
	syncs    *load.Syncs
	files    []*segment // the last is written to
	offset   int64
	serial   uint32 // of the last file
	last     uint64 // the newest durable entry
	snapshot pb.Snapshot
	safe     uint64 // the index of the newest durable snapshot
	state    pb.HardState
	buf      []byte
}

type segment struct {
	*os.File
	last uint64 // its newest entry
}

func newWAL(dir string, snap pb.Snapshot, syncs *load.Syncs) (w *wal, err error) {
	w = &wal{dir: dir, syncs: syncs, snapshot: snap, safe: snap.Metadata.Index, last: snap.Metadata.Index}
	for range segments {
		if err := w.grow(); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, w.rotate()
}

// grow makes one more file, before those that exist.
func (w *wal) grow() error {
	f, err := os.Create(filepath.Join(w.dir, fmt.Sprintf("%d.wal", len(w.files))))
	if err != nil {
		return err
	}
	w.files = append([]*segment{{File: f}}, w.files...)
	if _, err := f.WriteAt(make([]byte, segmentSize), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	d, err := os.Open(w.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// save writes what a Ready has, and waits until it is durable if it must be.
func (w *wal) save(rd raft.Ready) error {
	if !raft.IsEmptyHardState(rd.HardState) {
		w.state = rd.HardState
	}
	if err := w.records(rd); err != nil {
		return err
	}
	if len(w.buf) == 0 {
		return nil
	}
	if w.offset+int64(len(w.buf)) > segmentSize {
		if err := w.rotate(); err != nil {
			return err
		}
		if err := w.records(rd); err != nil {
			return err
		}
	}
	if _, err := w.file().WriteAt(w.buf, w.offset); err != nil {
		return err
	}
	w.offset += int64(len(w.buf))
	if rd.MustSync || w.compacted() {
		w.syncs.Add()
		if err := load.Datasync(w.file().File); err != nil {
			return err
		}
		w.safe = w.snapshot.Metadata.Index
	}
	if n := len(rd.Entries); n > 0 {
		w.last = rd.Entries[n-1].Index
		w.file().last = max(w.file().last, w.last)
	}
	return nil
}

func (w *wal) file() *segment { return w.files[len(w.files)-1] }

// records fills the buffer.
func (w *wal) records(rd raft.Ready) error {
	w.buf = w.buf[:0]
	if w.compacted() {
		if err := w.record(recordSnapshot, &w.snapshot); err != nil {
			return err
		}
	}
	for i := range rd.Entries {
		if err := w.record(recordEntry, &rd.Entries[i]); err != nil {
			return err
		}
	}
	if raft.IsEmptyHardState(rd.HardState) {
		return nil
	}
	return w.record(recordState, &rd.HardState)
}

type message interface {
	Size() int
	MarshalToSizedBuffer([]byte) (int, error)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (w *wal) record(kind uint32, m message) error {
	size, at := m.Size(), len(w.buf)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, kind<<28|uint32(size))
	w.buf = append(w.buf, make([]byte, 4+size)...)
	body := w.buf[at+recordHead:]
	if _, err := m.MarshalToSizedBuffer(body); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(w.buf[at+4:], crc32.Update(w.serial, castagnoli, body))
	return nil
}

// rotate goes to the next file: the oldest one if a durable snapshot has its entries, or else a new one. It begins with
// what the state is without the files before it.
func (w *wal) rotate() error {
	if w.files[0].last > w.safe {
		if err := w.grow(); err != nil {
			return err
		}
	}
	next := w.files[0]
	next.last = 0
	w.files = append(w.files[1:], next)
	w.serial++
	w.buf = w.buf[:0]
	if err := errors.Join(w.record(recordSnapshot, &w.snapshot), w.record(recordState, &w.state)); err != nil {
		return err
	}
	w.offset = int64(len(w.buf))
	_, err := next.WriteAt(w.buf, 0)
	return err
}

// compact has a snapshot written with the next Ready. Entries up to its index are needed no more then.
func (w *wal) compact(snap pb.Snapshot) {
	w.snapshot = snap
	w.last = max(w.last, snap.Metadata.Index)
}

// compacted says that the newest snapshot is still to be made durable.
func (w *wal) compacted() bool { return w.snapshot.Metadata.Index > w.safe }

func (w *wal) close() error {
	var errs []error
	for _, f := range w.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
