package ours

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-raft/raft/bench/load"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/storage/pebblestore"
	"github.com/quorate-raft/raft/storage/wal"
)

// store is the log of a member.
type store struct {
	replica.Storage
	close func() error
	syncs func() int64 // how many there were so far
}

// open opens the log of a member in a directory.
type open func(dir string, id uint64) (*store, error)

// storages are the storages that a replica may have, by name.
var storages = map[string]open{"pebblestore": openPebble, "wal": openWAL}

// DefaultStorage is the one that results are written for: the fastest.
const DefaultStorage = "wal"

// Storages are the names of the storages.
func Storages() []string { return slices.Sorted(maps.Keys(storages)) }

func openPebble(dir string, id uint64) (*store, error) {
	syncs := &load.Syncs{}
	engine, err := pebblestore.Open(filepath.Join(dir, "log"), &pebblestore.Options{
		ClusterID: clusterID, NodeID: id, FS: countingFS{vfs.Default, syncs},
	})
	if err != nil {
		return nil, err
	}
	s, err := engine.Group(group)
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return &store{s, engine.Close, syncs.Count}, nil
}

func openWAL(dir string, id uint64) (*store, error) {
	engine, err := wal.Open(filepath.Join(dir, "log"), &wal.Options{ClusterID: clusterID, NodeID: id})
	if err != nil {
		return nil, err
	}
	s, err := engine.Group(group)
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return &store{s, engine.Close, func() int64 { return int64(engine.Stats().Syncs) }}, nil
}

// countingFS is a file system whose syncs are counted.
type countingFS struct {
	vfs.FS
	syncs *load.Syncs
}

// Create implements vfs.FS, as the following do.
func (fs countingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.counted(fs.FS.Create(name, category))
}

func (fs countingFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return fs.counted(fs.FS.OpenReadWrite(name, category, o...))
}

func (fs countingFS) OpenDir(name string) (vfs.File, error) { return fs.counted(fs.FS.OpenDir(name)) }

func (fs countingFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.counted(fs.FS.ReuseForWrite(from, to, category))
}

func (fs countingFS) Unwrap() vfs.FS { return fs.FS }

func (fs countingFS) counted(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return countingFile{f, fs.syncs}, nil
}

type countingFile struct {
	vfs.File
	syncs *load.Syncs
}

// Sync implements vfs.File, as the following do.
func (f countingFile) Sync() error {
	f.syncs.Add()
	return f.File.Sync()
}

func (f countingFile) SyncData() error {
	f.syncs.Add()
	return f.File.SyncData()
}

// SyncTo mostly begins to write, and waits for nothing.
func (f countingFile) SyncTo(length int64) (full bool, err error) {
	full, err = f.File.SyncTo(length)
	if full {
		f.syncs.Add()
	}
	return full, err
}
