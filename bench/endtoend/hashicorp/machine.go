package main

import (
	"errors"
	"io"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/types"

	"github.com/quorate-raft/raft/bench/load"
)

// machine counts. It takes entries in batches.
type machine struct{ load.Machine }

var _ raft.BatchingFSM = (*machine)(nil)

// Apply implements raft.FSM, as the following do.
func (m *machine) Apply(e *raft.Log) any {
	m.Machine.Apply(e.Data)
	return nil
}

// ApplyBatch implements raft.BatchingFSM.
func (m *machine) ApplyBatch(entries []*raft.Log) []any {
	for _, e := range entries {
		if e.Type == raft.LogCommand {
			m.Machine.Apply(e.Data)
		}
	}
	return make([]any, len(entries))
}

func (m *machine) Snapshot() (raft.FSMSnapshot, error) { return snapshot(m.Machine.Snapshot()), nil }

func (m *machine) Restore(r io.ReadCloser) error { return errors.Join(m.Machine.Restore(r), r.Close()) }

type snapshot []byte

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (snapshot) Release() {}

// countingFS is a file system whose syncs are counted.
type countingFS struct {
	types.VFS
	syncs *load.Syncs
}

// Create implements types.VFS, as OpenWriter does.
func (fs countingFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	return fs.counted(fs.VFS.Create(dir, name, size))
}

func (fs countingFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	return fs.counted(fs.VFS.OpenWriter(dir, name))
}

func (fs countingFS) counted(f types.WritableFile, err error) (types.WritableFile, error) {
	if err != nil {
		return nil, err
	}
	return countingFile{f, fs.syncs}, nil
}

type countingFile struct {
	types.WritableFile
	syncs *load.Syncs
}

// Sync implements types.WritableFile.
func (f countingFile) Sync() error {
	f.syncs.Add()
	return f.WritableFile.Sync()
}
