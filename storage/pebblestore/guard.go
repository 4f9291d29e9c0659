package pebblestore

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard is the file system as Pebble sees it. It remembers the first write that
// fails, and from then on takes every write, reports success, and does nothing:
// Pebble answers a failed write of its log with a panic or by ending the process,
// and after a failed sync the disk may report success for what it lost, so
// nothing may be tried again. Nobody is deceived but Pebble, since the Engine
// asks for the failure before it believes any write. What is on the disk stays as
// at the failure, which is what a crash would have left.
type guard struct {
	vfs.FS
	failure atomic.Pointer[FailedError]
	// failed is told of the failure, once.
	failed func(*FailedError)
}

var _ vfs.FS = (*guard)(nil)

// fail records the first failure.
func (g *guard) fail(op, file string, err error) {
	failure := &FailedError{Op: op, File: file, Err: err}
	if g.failure.CompareAndSwap(nil, failure) {
		g.failed(failure)
	}
}

func (g *guard) isDead() bool { return g.failure.Load() != nil }

// err returns the failure, if there was one.
func (g *guard) err() error {
	if failure := g.failure.Load(); failure != nil {
		return failure
	}
	return nil
}

// do runs a change of the file system unless there was a failure, and takes its
// error for one.
func (g *guard) do(op, file string, change func() error) {
	if g.isDead() {
		return
	}
	if err := change(); err != nil {
		g.fail(op, file, err)
	}
}

// create makes a file that is written to, or the void in its place.
func (g *guard) create(name string, create func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	g.do("create", name, func() (err error) {
		f, err = create()
		return err
	})
	if f == nil {
		f = void{name: name}
	}
	return &guardedFile{File: f, g: g, name: name, writes: true}, nil
}

func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(name, func() (vfs.File, error) { return g.FS.Create(name, category) })
}

func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(newname, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, category) })
}

func (g *guard) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.create(name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, category, opts...) })
}

func (g *guard) Link(oldname, newname string) error {
	g.do("link", newname, func() error { return g.FS.Link(oldname, newname) })
	return nil
}

func (g *guard) Rename(oldname, newname string) error {
	g.do("rename", newname, func() error { return g.FS.Rename(oldname, newname) })
	return nil
}

func (g *guard) MkdirAll(dir string, perm os.FileMode) error {
	g.do("create", dir, func() error { return g.FS.MkdirAll(dir, perm) })
	return nil
}

// Remove may fail: what is not needed any more does no harm.
func (g *guard) Remove(name string) error {
	if g.isDead() {
		return nil
	}
	return g.FS.Remove(name)
}

// RemoveAll may fail too.
func (g *guard) RemoveAll(name string) error {
	if g.isDead() {
		return nil
	}
	return g.FS.RemoveAll(name)
}

func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: f, g: g, name: name}, nil
}

// GetDiskUsage is for pacing and reports; Pebble takes an error of it for one in
// the background.
func (g *guard) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	usage, err := g.FS.GetDiskUsage(path)
	if err != nil {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return usage, nil
}

func (g *guard) Unwrap() vfs.FS { return g.FS }

// guardedFile is a file that is written to, or a directory.
type guardedFile struct {
	vfs.File
	g      *guard
	name   string
	writes bool
}

func (f *guardedFile) Write(p []byte) (int, error) {
	f.g.do("write", f.name, func() error {
		n, err := f.File.Write(p)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
	return len(p), nil
}

func (f *guardedFile) WriteAt(p []byte, offset int64) (int, error) {
	f.g.do("write", f.name, func() error {
		n, err := f.File.WriteAt(p, offset)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
	return len(p), nil
}

func (f *guardedFile) Sync() error {
	f.g.do("sync", f.name, f.File.Sync)
	return nil
}

func (f *guardedFile) SyncData() error {
	f.g.do("sync", f.name, f.File.SyncData)
	return nil
}

func (f *guardedFile) SyncTo(length int64) (fullSync bool, err error) {
	f.g.do("sync", f.name, func() (err error) {
		fullSync, err = f.File.SyncTo(length)
		return err
	})
	return fullSync, nil
}

// Stat must not fail where Pebble takes a log file into use.
func (f *guardedFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	if err != nil && f.writes {
		f.g.fail("stat", f.name, err)
		return voidInfo(f.name), nil
	}
	return info, err
}

// Close closes in any case, so that no descriptor is lost.
func (f *guardedFile) Close() error {
	err := f.File.Close()
	if err != nil && f.writes {
		f.g.fail("close", f.name, err)
		return nil
	}
	return err
}

// void is a file that could not be created.
type void struct{ name string }

var errVoid = fmt.Errorf("pebblestore: the file was not written: %w", ErrFailed)

func (void) Close() error                           { return nil }
func (void) Read([]byte) (int, error)               { return 0, errVoid }
func (void) ReadAt([]byte, int64) (int, error)      { return 0, errVoid }
func (void) Write(p []byte) (int, error)            { return len(p), nil }
func (void) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (void) Preallocate(int64, int64) error         { return nil }
func (v void) Stat() (vfs.FileInfo, error)          { return voidInfo(v.name), nil }
func (void) Sync() error                            { return nil }
func (void) SyncTo(int64) (bool, error)             { return false, nil }
func (void) SyncData() error                        { return nil }
func (void) Prefetch(int64, int64) error            { return nil }
func (void) Fd() uintptr                            { return vfs.InvalidFd }

// voidInfo describes an empty file of that name.
type voidInfo string

func (i voidInfo) Name() string         { return string(i) }
func (voidInfo) Size() int64            { return 0 }
func (voidInfo) Mode() os.FileMode      { return 0 }
func (voidInfo) ModTime() time.Time     { return time.Time{} }
func (voidInfo) IsDir() bool            { return false }
func (voidInfo) Sys() any               { return nil }
func (voidInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
