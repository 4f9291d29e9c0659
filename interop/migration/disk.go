package migration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// disk is the files of one node: encoded records of raftpb, which are the same in both
// libraries. A real host writes a log; what counts here is that nothing has to be
// converted.
type disk struct{ dir string }

const (
	hardStateFile = "hardstate"
	snapshotFile  = "snapshot"
	entriesFile   = "entries"
)

// record is what both libraries' records can do.
type record interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

func (d disk) save(name string, r record) error {
	encoded, err := r.Marshal()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.dir, name), encoded, 0o600)
}

// load reads a record, if there is one.
func (d disk) load(name string, r record) error {
	encoded, err := os.ReadFile(filepath.Join(d.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.Unmarshal(encoded)
}

// saveEntries writes the whole log.
func (d disk) saveEntries(entries [][]byte) error {
	var b []byte
	for _, e := range entries {
		b = binary.AppendUvarint(b, uint64(len(e)))
		b = append(b, e...)
	}
	return os.WriteFile(filepath.Join(d.dir, entriesFile), b, 0o600)
}

// loadEntries reads the log, one encoded entry after the other.
func (d disk) loadEntries(each func(encoded []byte) error) error {
	b, err := os.ReadFile(filepath.Join(d.dir, entriesFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for err == nil && len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return fmt.Errorf("migration: %s is cut short", entriesFile)
		}
		err = each(b[n : n+int(size)])
		b = b[n+int(size):]
	}
	return err
}
