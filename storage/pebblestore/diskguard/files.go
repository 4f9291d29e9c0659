package diskguard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is a file system for one Pebble store, which hides from it that a write failed;
// see the package documentation. Use New. It is safe for concurrent use.
//
// That a file cannot be removed, opened to read or read is an error as ever and no
// failure.
type FS struct {
	vfs.FS
	failure atomic.Pointer[Failure]
	// failed is told of the failure, once.
	failed func(*Failure)
	// dirs lets directories be synced one at a time: a sync beside one that fails may be
	// told that all is well, after what it was to make durable is lost.
	dirs sync.Mutex
}

var _ vfs.FS = (*FS)(nil)

// New returns fs guarded. If failed is not nil it is called once, with the first
// failure, on the goroutine that met it, perhaps one of Pebble's with its locks held: it
// must neither wait nor call Pebble.
func New(fs vfs.FS, failed func(*Failure)) *FS { return &FS{FS: fs, failed: failed} }

func (g *FS) isDead() bool { return g.failure.Load() != nil }

// do runs a change of the file system unless there was a failure, and takes its
// error for one.
func (g *FS) do(op, file string, change func() error) {
	if g.isDead() {
		return
	}
	if err := change(); err != nil {
		g.Fail(op, file, err)
	}
}

// create makes a file that is written to, or the void in its place.
func (g *FS) create(name string, create func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	g.do("create", name, func() (err error) {
		f, err = create()
		return err
	})
	if f == nil {
		f = void{g: g, name: name}
	}
	return &guardedFile{File: f, g: g, name: name, writes: true}, nil
}

// manifestMarker begins the names of the files whose names say which manifest counts.
const manifestMarker = "marker.manifest."

// Create makes a file. On a failure the file takes writes and is nowhere. The directory is
// synced before a file that names a manifest is made.
func (g *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(g.FS.PathBase(name), manifestMarker) {
		dir := g.FS.PathDir(name)
		g.syncDir(dir, func() error { return syncDirectory(g.FS, dir) })
	}
	return g.create(name, func() (vfs.File, error) { return g.FS.Create(name, category) })
}

// ReuseForWrite is as Create.
func (g *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(newname, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenReadWrite is as Create.
func (g *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.create(name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, category, opts...) })
}

// Link returns nil.
func (g *FS) Link(oldname, newname string) error {
	g.do("link", newname, func() error { return g.FS.Link(oldname, newname) })
	return nil
}

// Rename returns nil.
func (g *FS) Rename(oldname, newname string) error {
	g.do("rename", newname, func() error { return g.FS.Rename(oldname, newname) })
	return nil
}

// MkdirAll returns nil.
func (g *FS) MkdirAll(dir string, perm os.FileMode) error {
	g.do("create", dir, func() error { return g.FS.MkdirAll(dir, perm) })
	return nil
}

// Remove may fail: what is not needed any more does no harm.
func (g *FS) Remove(name string) error {
	if g.isDead() {
		return nil
	}
	return g.FS.Remove(name)
}

// RemoveAll may fail too.
func (g *FS) RemoveAll(name string) error {
	if g.isDead() {
		return nil
	}
	return g.FS.RemoveAll(name)
}

// OpenDir opens a directory, of which only the Sync is guarded.
func (g *FS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: f, g: g, name: name}, nil
}

// syncDir lets a directory be synced.
func (g *FS) syncDir(name string, sync func() error) {
	g.dirs.Lock()
	defer g.dirs.Unlock()
	g.do("sync", name, sync)
}

func syncDirectory(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// GetDiskUsage is for pacing and reports; Pebble takes an error of it for one in
// the background.
func (g *FS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	usage, err := g.FS.GetDiskUsage(path)
	if err != nil {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return usage, nil
}

// Unwrap returns the file system that is guarded.
func (g *FS) Unwrap() vfs.FS { return g.FS }

// guardedFile is a file that is written to, by one goroutine at a time, or a directory.
type guardedFile struct {
	vfs.File
	g      *FS
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
	if !f.writes {
		f.g.syncDir(f.name, f.File.Sync)
		return nil
	}
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
		f.g.Fail("stat", f.name, err)
		return voidInfo(f.name), nil
	}
	return info, err
}

// Close closes in any case, so that no descriptor is lost.
func (f *guardedFile) Close() error {
	err := f.File.Close()
	if err != nil && f.writes {
		f.g.Fail("close", f.name, err)
		return nil
	}
	return err
}

// void is a file that could not be created.
type void struct {
	g    *FS
	name string
}

func (v void) err() error {
	return fmt.Errorf("diskguard: %s was not written: %w", v.name, v.g.Failure())
}

func (void) Close() error                           { return nil }
func (v void) Read([]byte) (int, error)             { return 0, v.err() }
func (v void) ReadAt([]byte, int64) (int, error)    { return 0, v.err() }
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
