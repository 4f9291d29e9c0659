package main

import (
	"github.com/lni/vfs"

	"github.com/quorate-raft/raft/bench/load"
)

// countingFS is a file system whose syncs are counted.
type countingFS struct {
	vfs.FS
	syncs *load.Syncs
}

// Create implements vfs.FS, as the following do.
func (fs countingFS) Create(name string) (vfs.File, error) { return fs.counted(fs.FS.Create(name)) }

func (fs countingFS) OpenDir(name string) (vfs.File, error) { return fs.counted(fs.FS.OpenDir(name)) }

func (fs countingFS) OpenForAppend(name string) (vfs.File, error) {
	return fs.counted(fs.FS.OpenForAppend(name))
}

func (fs countingFS) ReuseForWrite(from, to string) (vfs.File, error) {
	return fs.counted(fs.FS.ReuseForWrite(from, to))
}

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

// Sync implements vfs.File.
func (f countingFile) Sync() error {
	f.syncs.Add()
	return f.File.Sync()
}
