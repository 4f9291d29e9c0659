package wal

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// fileSystem is what the log needs of a file system, so that tests can crash it
// and make it fail.
type fileSystem interface {
	// MkdirAll makes dir with its parents, all of them durable.
	MkdirAll(dir string) error
	// RealPath returns the one path that all paths to dir lead to.
	RealPath(dir string) (string, error)
	// Lock locks the file against other processes and this one; errInUse if it is.
	Lock(name string) (io.Closer, error)
	// List returns the names in dir.
	List(dir string) ([]string, error)
	// Open opens a file for reading and writing, Create a new, empty one.
	Open(name string) (file, error)
	Create(name string) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes durable what was created, renamed and removed in dir.
	SyncDir(dir string) error
}

// file is one file. Offsets and lengths of writes are multiples of blockSize, and
// their memory is aligned to it.
type file interface {
	io.ReaderAt
	io.Closer
	// WriteSync writes, and returns when what was written is durable.
	WriteSync(p []byte, off int64) error
	Size() (int64, error)
}

// errInUse is what Lock returns for a file that is locked.
var errInUse = errors.New("it is locked")

// osFiles is the file system of the operating system.
type osFiles struct {
	direct bool
}

// MkdirAll implements fileSystem. Each directory is synced that one was created in.
// It may be that the last process ended before it came to that, so the parents of
// one that was there are synced too; those need not be ours to open.
func (osFiles) MkdirAll(dir string) error {
	var missing []string
	at := filepath.Clean(dir)
	for ; filepath.Dir(at) != at; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
		missing = append(missing, at)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, made := range missing {
		if err := syncDirectory(filepath.Dir(made)); err != nil {
			return err
		}
	}
	for ; filepath.Dir(at) != at; at = filepath.Dir(at) {
		_ = syncDirectory(filepath.Dir(at))
	}
	return nil
}

func (osFiles) RealPath(dir string) (string, error) {
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

func (osFiles) Lock(name string) (io.Closer, error) { return lockFile(name) }

func (osFiles) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

func (o osFiles) Open(name string) (file, error) { return openFile(name, 0, o.direct) }

func (o osFiles) Create(name string) (file, error) {
	return openFile(name, os.O_CREATE|os.O_TRUNC, o.direct)
}

func (osFiles) Rename(from, to string) error { return os.Rename(from, to) }

func (osFiles) Remove(name string) error { return os.Remove(name) }

func (osFiles) SyncDir(dir string) error { return syncDirectory(dir) }

// osFile is a file of the operating system.
type osFile struct {
	*os.File
	// direct writes past the cache, each write durable when it returns. Nil where
	// the file system can not.
	direct *os.File
}

func openFile(name string, flag int, direct bool) (file, error) {
	f, err := os.OpenFile(name, flag|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	opened := &osFile{File: f}
	if direct {
		opened.direct = openDirect(name)
	}
	return opened, nil
}

func (f *osFile) WriteSync(p []byte, off int64) error {
	if f.direct != nil {
		_, err := f.direct.WriteAt(p, off)
		if err == nil || !directRefused(err) {
			return err
		}
		// It says only now that it can not. Nothing was written.
		_ = f.direct.Close()
		f.direct = nil
	}
	if _, err := f.WriteAt(p, off); err != nil {
		return err
	}
	return syncData(f.File)
}

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Close() error {
	err := f.File.Close()
	if f.direct != nil {
		err = errors.Join(err, f.direct.Close())
	}
	return err
}
