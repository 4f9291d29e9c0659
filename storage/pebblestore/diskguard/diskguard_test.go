package diskguard

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const category = vfs.WriteCategoryUnspecified

// faultyFS fails the operations of one kind, and counts what reaches it.
type faultyFS struct {
	vfs.FS
	fail    string
	reached []string
}

func (f *faultyFS) do(op, name string) error {
	f.reached = append(f.reached, op+" "+name)
	if op == f.fail {
		return &os.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
	}
	return nil
}

func (f *faultyFS) file(op, name string, open func() (vfs.File, error)) (vfs.File, error) {
	if err := f.do(op, name); err != nil {
		return nil, err
	}
	file, err := open()
	return &faultyFile{File: file, fs: f, name: name}, err
}

func (f *faultyFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("create", name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *faultyFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("reuse", name, func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, c) })
}

func (f *faultyFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.file("open to write", name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

func (f *faultyFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return &faultyDir{&faultyFile{File: file, fs: f, name: name}}, err
}

func (f *faultyFS) Link(old, name string) error {
	return errors.Join(f.do("link", name), f.FS.Link(old, name))
}

func (f *faultyFS) Rename(old, name string) error {
	return errors.Join(f.do("rename", name), f.FS.Rename(old, name))
}

func (f *faultyFS) MkdirAll(name string, perm os.FileMode) error {
	return errors.Join(f.do("mkdir", name), f.FS.MkdirAll(name, perm))
}

func (f *faultyFS) Remove(name string) error {
	return errors.Join(f.do("remove", name), f.FS.Remove(name))
}

func (f *faultyFS) RemoveAll(name string) error {
	return errors.Join(f.do("remove all", name), f.FS.RemoveAll(name))
}

func (f *faultyFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, syscall.EIO
}

type faultyFile struct {
	vfs.File
	fs   *faultyFS
	name string
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.fs.fail == "short write" {
		p = p[:len(p)-1]
	}
	if err := f.fs.do("write", f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultyFile) WriteAt(p []byte, _ int64) (int, error) {
	if f.fs.fail == "short write at" {
		return len(p) - 1, nil // the file in memory cannot
	}
	return len(p), f.fs.do("write at", f.name)
}

func (f *faultyFile) Sync() error { return f.fs.do("sync", f.name) }

func (f *faultyFile) SyncData() error { return f.fs.do("sync data", f.name) }

func (f *faultyFile) SyncTo(int64) (bool, error) { return true, f.fs.do("sync to", f.name) }

func (f *faultyFile) Close() error { return errors.Join(f.File.Close(), f.fs.do("close", f.name)) }

func (f *faultyFile) Stat() (vfs.FileInfo, error) {
	if err := f.fs.do("stat", f.name); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

// faultyDir closes, since nothing is lost if it does not.
type faultyDir struct{ *faultyFile }

func (d *faultyDir) Close() error { return d.File.Close() }

// everything does all that changes a file system, and no call of it may fail.
func everything(t *testing.T, g *FS) {
	require.NoError(t, g.MkdirAll("dir", 0o755))
	write := func(f vfs.File, err error) {
		require.NoError(t, err)
		n, err := f.Write([]byte("four"))
		require.NoError(t, err)
		require.Equal(t, 4, n)
		n, err = f.WriteAt([]byte("four"), 0)
		require.NoError(t, err)
		require.Equal(t, 4, n)
		require.NoError(t, f.Preallocate(0, 10))
		require.NoError(t, f.Prefetch(0, 10))
		require.NoError(t, f.SyncData())
		_, err = f.SyncTo(4)
		require.NoError(t, err)
		require.NoError(t, f.Sync())
		_, err = f.Stat()
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	write(g.Create("dir/a", category))
	write(g.OpenReadWrite("dir/a", category))
	require.NoError(t, g.Link("dir/a", "dir/b"))
	require.NoError(t, g.Rename("dir/b", "dir/c"))
	write(g.ReuseForWrite("dir/c", "dir/d", category))
	d, err := g.OpenDir("dir")
	require.NoError(t, err)
	require.NoError(t, d.Sync())
	require.NoError(t, d.Close())
}

// Every kind of write that fails is the failure, with its cause and its file; the caller
// is told that all is well; and afterwards nothing reaches the file system.
func TestEveryKindOfWrite(t *testing.T) {
	kinds := []string{"", "mkdir", "create", "open to write", "reuse", "write", "short write", "write at", "short write at", "sync",
		"sync data", "sync to", "stat", "close", "link", "rename"}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			mem := vfs.NewMem()
			require.NoError(t, mem.MkdirAll("dir", 0o755)) // also where making it fails
			disk := &faultyFS{FS: mem, fail: kind}
			var told []*Failure
			g := New(disk, func(f *Failure) { told = append(told, f) })
			everything(t, g)
			if kind == "" {
				require.Nil(t, g.Failure())
				require.Empty(t, told)
				return
			}
			failure := g.Failure()
			require.NotNil(t, failure)
			require.Equal(t, []*Failure{failure}, told)
			require.Contains(t, failure.File, "dir")
			require.ErrorContains(t, failure, failure.Op+" of "+failure.File)
			if kind != "short write" && kind != "short write at" {
				require.ErrorIs(t, failure, syscall.ENOSPC)
			}

			disk.fail, disk.reached = "", nil
			everything(t, g)
			require.NoError(t, g.Remove("dir/a"))
			require.NoError(t, g.RemoveAll("dir"))
			g.Fail("later", "", errors.New("another"))
			require.Same(t, failure, g.Failure())
			require.Len(t, told, 1)
			require.Empty(t, disk.reached)
		})
	}
}

// slowDir takes its time to fail to sync a directory.
type slowDir struct {
	vfs.FS
	syncs   atomic.Int64
	syncing chan struct{}
}

type slowSync struct {
	vfs.File
	d *slowDir
}

func (d *slowDir) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return slowSync{f, d}, err
}

func (f slowSync) Sync() error {
	f.d.syncs.Add(1)
	f.d.syncing <- struct{}{}
	time.Sleep(30 * time.Millisecond) // who does not wait comes meanwhile
	return syscall.EIO
}

// No directory is synced beside a sync that fails, nor after it, by whichever handle.
func TestDirectoryIsNotSyncedBesideAFailure(t *testing.T) {
	d := &slowDir{FS: vfs.NewMem(), syncing: make(chan struct{}, 3)}
	g := New(d, nil)
	sync := func() {
		dir, err := g.OpenDir("/")
		require.NoError(t, err)
		require.NoError(t, dir.Sync())
		require.NoError(t, dir.Close())
	}
	first := make(chan struct{})
	go func() { defer close(first); sync() }()
	<-d.syncing
	sync()
	f, err := g.Create("/"+manifestMarker+"000001.MANIFEST-000001", category)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	<-first
	require.ErrorIs(t, g.Failure(), syscall.EIO)
	require.EqualValues(t, 1, d.syncs.Load())
}

// A file that could not be made cannot be read, and says why.
func TestVoidIsNotRead(t *testing.T) {
	g := New(&faultyFS{FS: vfs.NewMem(), fail: "create"}, nil)
	f, err := g.Create("a", category)
	require.NoError(t, err)
	_, err = f.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ENOSPC)
	_, err = f.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "a was not written")
	info, err := f.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Size())
}

// That something cannot be removed, opened or measured is no failure: nothing is lost.
func TestHarmlessErrors(t *testing.T) {
	g := New(&faultyFS{FS: vfs.NewMem(), fail: "remove"}, nil)
	require.Error(t, g.Remove("a"))
	_, err := g.Open("a")
	require.Error(t, err)
	_, err = g.GetDiskUsage("a")
	require.ErrorIs(t, err, vfs.ErrUnsupported)
	require.Nil(t, g.Failure())
}

// What Pebble reports, to its logger or as an event, is a failure where it would end
// the process or go on for ever; the rest is only logged.
func TestReportsOfPebble(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	g := New(vfs.NewMem(), nil)
	l := g.Logger(zap.New(core))
	l.Infof("%d", 1)
	l.Errorf("%d", 2)
	require.Nil(t, g.Failure())
	require.Equal(t, 1, logs.FilterLevelExact(zap.DebugLevel).Len())
	require.Equal(t, 1, logs.FilterLevelExact(zap.WarnLevel).Len())
	l.Fatalf("gone: %w", syscall.EIO)
	require.ErrorIs(t, g.Failure(), syscall.EIO)
	require.EqualError(t, g.Failure(), "pebble: gone: input/output error")
	g.BackgroundError(syscall.ENOSPC)
	require.ErrorIs(t, g.Failure(), syscall.EIO)

	g = New(vfs.NewMem(), nil)
	g.BackgroundError(syscall.ENOSPC)
	require.ErrorIs(t, g.Failure(), syscall.ENOSPC)
}
