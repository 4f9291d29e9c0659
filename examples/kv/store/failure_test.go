package store

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/storage/pebblestore/diskguard"
)

// faultyFS counts what changes the file system, and lets a test fail each of it.
type faultyFS struct {
	*stillFS
	ops atomic.Int64
	// before is asked before an operation; its error is the operation's.
	before func(op, name string) error
	// reading is told of reads from sorted files.
	reading atomic.Pointer[func()]
}

func (f *faultyFS) do(op, name string) error {
	f.ops.Add(1)
	if f.before == nil {
		return nil
	}
	if err := f.before(op, name); err != nil {
		return &os.PathError{Op: op, Path: name, Err: err}
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
	return f.file("create", name, func() (vfs.File, error) { return f.stillFS.Create(name, c) })
}

func (f *faultyFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("create", name, func() (vfs.File, error) { return f.stillFS.ReuseForWrite(old, name, c) })
}

func (f *faultyFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.stillFS.OpenDir(name)
	return &faultyFile{File: file, fs: f, name: name}, err
}

func (f *faultyFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.stillFS.Open(name, o...)
	return &readFile{File: file, fs: f}, err
}

type readFile struct {
	vfs.File
	fs *faultyFS
}

func (f *readFile) ReadAt(p []byte, offset int64) (int, error) {
	if reading := f.fs.reading.Load(); reading != nil {
		(*reading)()
	}
	return f.File.ReadAt(p, offset)
}

func (f *faultyFS) Rename(old, name string) error {
	if err := f.do("rename", name); err != nil {
		return err
	}
	return f.stillFS.Rename(old, name)
}

type faultyFile struct {
	vfs.File
	fs   *faultyFS
	name string
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.fs.do("write", f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.do("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) SyncData() error {
	if err := f.fs.do("sync", f.name); err != nil {
		return err
	}
	return f.File.SyncData()
}

// within fails the test if do takes too long: a host that waits for a failed disk for
// ever is as bad as one that trusts it.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

// failingRun does all that writes and reads until something fails, and returns what was
// synced.
func failingRun(w *world, s *Store) (synced uint64, err error) {
	for round := range 60 {
		var commands []replica.Command
		for range 10 {
			r, _ := w.next()
			commands = append(commands, replica.Command{Index: r.index, Data: r.data})
		}
		if err := s.Apply(commands); err != nil {
			return synced, err
		}
		if _, err := s.Range(nil, nil, 0); err != nil {
			return synced, err
		}
		if round%7 == 6 {
			if err := restoreItself(s, w.last); err != nil {
				return synced, err
			}
		}
		if round%5 == 4 {
			if err := s.Sync(); err != nil {
				return synced, err
			}
			synced = w.last
		}
	}
	return synced, nil
}

func restoreItself(s *Store, index uint64) error {
	v, err := s.View()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err = v.WriteTo(&b); err == nil {
		err = s.Restore(index, &b)
	}
	if closed := v.Close(); err == nil {
		err = closed
	}
	return err
}

func newFailingWorld(t *testing.T) *world {
	return &world{T: t, counts: map[string]int{}, generator: generator{rnd: rand.New(rand.NewPCG(1, 1)), m: newModel()}}
}

// Whichever write, sync, creation or renaming of a file fails, once: the process lives,
// the host gets an error that tells which, nothing is tried again, and the directory,
// opened again after that or after a loss of power, has the state that some of the commands
// lead to, from the first on without a gap, with all that was synced. A failed sync that is
// followed by good ones is the case in which a second try would lie.
func TestEveryWriteThatFails(t *testing.T) {
	fs := &faultyFS{stillFS: newFS()}
	s := open(t, fs)
	_, err := failingRun(newFailingWorld(t), s)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	total := fs.ops.Load()
	t.Log(total, "operations")
	const opening = 40
	step := total/100 + 1
	seen := map[string]bool{}
	for at := int64(1); at <= total; at++ {
		if at <= opening || at%step == 0 {
			t.Run(fmt.Sprint("operation ", at), func(t *testing.T) { failAt(t, at, seen) })
		}
	}
	for _, op := range []string{"write", "sync", "create", "rename"} {
		require.True(t, seen[op], op)
	}
}

func failAt(t *testing.T, at int64, seen map[string]bool) {
	cause := []error{syscall.ENOSPC, syscall.EIO}[at%2]
	fs := &faultyFS{stillFS: newFS()}
	var failed atomic.Pointer[[2]string] // operation and file
	var known atomic.Bool
	var after, again atomic.Int64
	fs.before = func(op, name string) error {
		if it := failed.Load(); it != nil {
			if name == it[1] {
				again.Add(1)
			}
			if known.Load() {
				after.Add(1)
			}
			return nil
		}
		if fs.ops.Load() >= at && failed.CompareAndSwap(nil, &[2]string{op, name}) {
			return cause
		}
		return nil
	}
	o := small(fs)
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zap.ErrorLevel)
	o.Logger = zap.New(core, zap.Hooks(func(entry zapcore.Entry) error {
		if entry.Message == "the store failed for good" {
			known.Store(true)
		}
		return nil
	}))
	w := newFailingWorld(t)
	synced := uint64(0)
	within(t, "the run", func() {
		s, err := Open(testDir, o)
		if err != nil {
			known.Store(true) // also where it was nothing that is for good
		} else {
			synced, err = failingRun(w, s)
			if closed := s.Close(); err == nil {
				err = closed // it failed in the background, after the last command
			} else {
				require.Equal(t, err, closed)
				require.ErrorIs(t, err, ErrFailed)
			}
		}
		what := failed.Load()
		if what == nil {
			return // the background has its own pace
		}
		require.ErrorIs(t, err, cause)
		require.True(t, known.Load())
		require.ErrorContains(t, err, filepath.Base(what[1]))
		seen[what[0]] = true
	})
	// What failed is not tried again, from the moment on at which it failed. Of the rest
	// nothing begins once the failure is known, but for what the other goroutines of Pebble
	// were about to do, an operation each, having looked before: beside the one that failed
	// those are three of the caller, who begins a new log, and of who writes the log, flushes
	// and compacts.
	require.Zero(t, again.Load(), "operations on the same file after the failure of %v", failed.Load())
	require.LessOrEqual(t, after.Load(), int64(3), "operations after the failure of %v was known", failed.Load())

	for _, left := range []*stillFS{fs.crash(rand.New(rand.NewPCG(uint64(at), 0))), fs.stillFS} {
		m := &member{fs: left, s: open(t, left)}
		require.GreaterOrEqual(t, appliedOf(t, m.s), synced)
		w.check(m)
		w.replay(m)
		require.NoError(t, m.s.Close())
	}
}

// After a failure everything returns it, reads and those who wait for changes too, since
// what they would be told may be gone after a restart; and Close frees the directory.
func TestFailureIsForGood(t *testing.T) {
	fs := &faultyFS{stillFS: newFS()}
	s := open(t, fs)
	putAt(t, s, 1, "k", "v")
	require.NoError(t, s.Sync())
	old := viewOf(t, s)
	putAt(t, s, 2, "k", "lost")
	view, err := s.View()
	require.NoError(t, err)
	watching := make(chan error)
	go func() {
		_, err := s.Watch(t.Context(), nil, nil, 2)
		watching <- err
	}()
	require.Eventually(t, func() bool {
		s.history.mu.Lock()
		defer s.history.mu.Unlock()
		return s.history.more != nil
	}, 10*time.Second, time.Millisecond, "it waits")

	var fail atomic.Bool
	fail.Store(true)
	fs.before = func(op, _ string) error {
		if op == "sync" && fail.CompareAndSwap(true, false) { // only once
			return syscall.EIO
		}
		return nil
	}
	failure := s.Sync()
	require.ErrorIs(t, failure, ErrFailed)
	require.ErrorIs(t, failure, syscall.EIO)
	var detail *diskguard.Failure
	require.ErrorAs(t, failure, &detail)
	require.Equal(t, "sync", detail.Op)
	require.ErrorContains(t, failure, "store: failed for good: sync of "+detail.File)

	before := fs.ops.Load()
	for name, do := range map[string]func() error{
		"Apply":      func() error { return s.Apply([]replica.Command{{Index: 3, Data: EncodeRegister()}}) },
		"Apply none": func() error { return s.Apply(nil) },
		"Applied":    func() error { _, err := s.Applied(); return err },
		"Sync":       s.Sync,
		"View":       func() error { _, err := s.View(); return err },
		"WriteTo":    func() error { _, err := view.WriteTo(io.Discard); return err },
		"Restore":    func() error { return s.Restore(9, bytes.NewReader(old)) },
		"bad":        func() error { return s.Restore(9, bytes.NewReader(nil)) },
		"Get":        func() error { _, _, _, err := s.Get([]byte("k")); return err },
		"Get none":   func() error { _, _, _, err := s.Get([]byte("none")); return err },
		"Range":      func() error { _, err := s.Range(nil, nil, 0); return err },
		"Watch":      func() error { _, err := s.Watch(t.Context(), nil, nil, 1); return err },
		"watching":   func() error { return <-watching },
	} {
		within(t, name, func() { require.Equal(t, failure, do(), name) })
	}
	within(t, "Close", func() { require.Equal(t, failure, s.Close()) })
	require.Equal(t, before, fs.ops.Load(), "something was written")
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Sync(), ErrClosed)

	fs.before = nil
	s = open(t, fs)
	require.NoError(t, s.Close())
}

// A write that fails in the background while something is read, written or restored is
// the outcome of that, whatever it found.
func TestFailureMeanwhile(t *testing.T) {
	for name, do := range map[string]func(s *Store, fail func()) error{
		"WriteTo": func(s *Store, fail func()) error {
			v, err := s.View()
			require.NoError(t, err)
			_, err = v.WriteTo(callWriter(fail))
			return err
		},
		"Restore": func(s *Store, fail func()) error {
			good := viewOf(t, s)
			return s.Restore(300, io.MultiReader(bytes.NewReader(good), callReader(fail)))
		},
		"Restore of nothing good": func(s *Store, fail func()) error { return s.Restore(300, callReader(fail)) },
		"Get": func(s *Store, fail func()) error {
			whileReading(s, fail)
			value, revision, found, err := s.Get([]byte("key 1"))
			require.Equal(t, []any{[]byte(nil), uint64(0), false}, []any{value, revision, found})
			return err
		},
		"Range": func(s *Store, fail func()) error {
			whileReading(s, fail)
			page, err := s.Range(nil, nil, 0)
			require.Zero(t, page)
			return err
		},
		"Apply": func(s *Store, fail func()) error {
			whileReading(s, fail)
			return s.Apply([]replica.Command{{Index: 300, Data: must(EncodeDelete(RequestID{}, []byte("key 1")))}})
		},
		"Close": func(s *Store, fail func()) error {
			s.mu.Lock()
			got := make(chan error)
			go func() { got <- s.Close() }()
			fail()
			s.mu.Unlock()
			return <-got
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := &faultyFS{stillFS: newFS()}
			s := open(t, fs)
			filled(t, s)
			require.NoError(t, s.db.Flush())
			require.NoError(t, s.Close())
			s = open(t, fs) // nothing is in its cache
			defer s.Close()
			err := do(s, func() { s.guard.Fail("write", "a file", syscall.ENOSPC) })
			require.ErrorIs(t, err, ErrFailed)
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.NotErrorIs(t, err, ErrSnapshot)
			require.ErrorContains(t, err, "a file")
		})
	}
}

// whileReading calls when the next read comes to the disk, which then gives it what is
// there.
func whileReading(s *Store, fail func()) { s.o.FS.(*faultyFS).reading.Store(&fail) }

// callWriter calls when it is written to.
type callWriter func()

func (f callWriter) Write(p []byte) (int, error) { f(); return len(p), nil }

// What Pebble cannot go on after, by its own word or a panic, is a failure and does not
// end the process.
func TestPebbleGivesUp(t *testing.T) {
	for name, do := range map[string]func(s *Store){
		"logger":     func(s *Store) { s.pebbleOptions().Logger.Fatalf("gone: %w", syscall.EIO) },
		"background": func(s *Store) { s.pebbleOptions().EventListener.BackgroundError(syscall.EIO) },
		"panic": func(s *Store) {
			_ = s.write("commit", func() error { panic(syscall.EIO) })
		},
		"error": func(s *Store) { _ = s.write("commit", func() error { return syscall.EIO }) },
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t)
			do(s)
			err := s.Sync()
			require.ErrorIs(t, err, ErrFailed)
			require.ErrorContains(t, err, syscall.EIO.Error())
		})
	}
}

// A write that fails while the directory is opened is what Open returns, and the directory
// is free again.
func TestOpenFails(t *testing.T) {
	for _, op := range []string{"write", "create", "rename", "sync"} {
		fs := &faultyFS{stillFS: newFS()}
		require.NoError(t, makeDirectory(fs, testDir)) // before there is a guard
		fs.before = func(o, name string) error {
			if o == op && name != filepath.Dir(testDir) {
				return syscall.ENOSPC
			}
			return nil
		}
		_, err := Open(testDir, small(fs))
		require.ErrorIs(t, err, ErrFailed, op)
		require.ErrorIs(t, err, syscall.ENOSPC)
		fs.before = nil
		require.NoError(t, open(t, fs).Close())
	}
}
