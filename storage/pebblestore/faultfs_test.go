package pebblestore

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watchedFS counts what changes the file system, and lets a test look, or fail
// it, at each of these.
type watchedFS struct {
	vfs.FS
	ops   atomic.Int64
	syncs atomic.Int64 // of the log
	mu    sync.Mutex   // protects before and after
	// before is asked before an operation; its error is the operation's.
	before func(op, name string) error
	// after is told of syncs that succeeded.
	after func(op, name string)
	// still is held during ReuseForWrite and Link, which in Pebble's file system in
	// memory take a lock twice and so may not run beside CrashClone.
	still sync.Mutex
}

// crash is crash for a file system in use.
func (w *watchedFS) crash(rnd *rand.Rand) *vfs.MemFS {
	w.still.Lock()
	defer w.still.Unlock()
	return crash(w.FS.(*vfs.MemFS), rnd)
}

// watch sets before and after, of a file system in use.
func (w *watchedFS) watch(before func(op, name string) error, after func(op, name string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before, w.after = before, after
}

func (w *watchedFS) do(op, name string, do func() error) error {
	w.ops.Add(1)
	if op == "sync" && strings.HasSuffix(name, ".log") {
		w.syncs.Add(1)
	}
	w.mu.Lock()
	before, after := w.before, w.after
	w.mu.Unlock()
	if before != nil {
		if err := before(op, name); err != nil {
			return &os.PathError{Op: op, Path: name, Err: err}
		}
	}
	if err := do(); err != nil {
		return err
	}
	if after != nil && op == "sync" {
		after(op, name)
	}
	return nil
}

func (w *watchedFS) file(op, name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	err = w.do(op, name, func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &watchedFile{File: f, w: w, name: name}, nil
}

func (w *watchedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return w.file("create", name, func() (vfs.File, error) { return w.FS.Create(name, c) })
}

func (w *watchedFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return w.file("create", name, func() (vfs.File, error) {
		w.still.Lock()
		defer w.still.Unlock()
		return w.FS.ReuseForWrite(old, name, c)
	})
}

func (w *watchedFS) OpenDir(name string) (vfs.File, error) {
	f, err := w.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &watchedFile{File: f, w: w, name: name}, nil
}

func (w *watchedFS) Rename(old, name string) error {
	return w.do("rename", name, func() error { return w.FS.Rename(old, name) })
}

func (w *watchedFS) Link(old, name string) error {
	return w.do("link", name, func() error {
		w.still.Lock()
		defer w.still.Unlock()
		return w.FS.Link(old, name)
	})
}

func (w *watchedFS) Remove(name string) error {
	return w.do("remove", name, func() error { return w.FS.Remove(name) })
}

func (w *watchedFS) Unwrap() vfs.FS { return w.FS }

type watchedFile struct {
	vfs.File
	w    *watchedFS
	name string
}

func (f *watchedFile) Write(p []byte) (n int, err error) {
	err = f.w.do("write", f.name, func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

func (f *watchedFile) Sync() error { return f.w.do("sync", f.name, f.File.Sync) }

func (f *watchedFile) SyncData() error { return f.w.do("sync", f.name, f.File.SyncData) }
