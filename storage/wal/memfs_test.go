package wal

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// sectorSize is what a disk writes at once.
const sectorSize = 512

// memFS is a file system in memory that can lose power: of what was not synced any
// sectors may be left, and of what was renamed, created and removed in a directory
// any number from the first on, since file systems keep a journal of those.
type memFS struct {
	mu      sync.Mutex
	names   map[string]*memFile
	durable map[string]*memFile
	pending []func(map[string]*memFile)
	locks   map[string]bool

	ops   atomic.Int64 // what changes the file system, syncs included
	syncs atomic.Int64 // of files
	// before is asked before an operation; its error is the operation's.
	before func(op, name string) error
	// after is told of syncs that succeeded.
	after func(op, name string)
	// unreadable is the error of reads.
	unreadable error
}

type memFile struct {
	data, stable []byte
	dirty        map[int]bool // sectors
}

func newMemFS() *memFS {
	return &memFS{names: map[string]*memFile{}, durable: map[string]*memFile{}, locks: map[string]bool{}}
}

// crash returns what is left after a loss of power now.
func (m *memFS) crash(rnd *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := newMemFS()
	names := maps.Clone(m.durable)
	for _, op := range m.pending[:rnd.IntN(len(m.pending)+1)] {
		op(names)
	}
	percent := []int{0, 10, 50, 90, 100}[rnd.IntN(5)]
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := names[name]
		data := slices.Clone(f.stable)
		for _, sector := range slices.Sorted(maps.Keys(f.dirty)) {
			if rnd.IntN(100) >= percent {
				continue
			}
			from, to := sector*sectorSize, min((sector+1)*sectorSize, len(f.data))
			if to > len(data) {
				data = append(data, make([]byte, to-len(data))...)
			}
			copy(data[from:to], f.data[from:to])
		}
		left.put(name, data)
	}
	return left
}

// kill returns what is left after the end of the process: everything that was written.
func (m *memFS) kill() *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := newMemFS()
	for name, f := range m.names {
		left.put(name, slices.Clone(f.data))
	}
	return left
}

func (m *memFS) put(name string, data []byte) {
	f := &memFile{data: data, stable: slices.Clone(data), dirty: map[int]bool{}}
	m.names[name], m.durable[name] = f, f
}

// watch sets before and after, of a file system in use.
func (m *memFS) watch(before func(op, name string) error, after func(op, name string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before, m.after = before, after
}

// segments returns the names of the files of the log, in order.
func (m *memFS) segments() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		if strings.HasSuffix(name, segmentSuffix) {
			names = append(names, name)
		}
	}
	return names
}

// size returns the size of all files.
func (m *memFS) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := 0
	for _, f := range m.names {
		total += len(f.data)
	}
	return total
}

func (m *memFS) do(op, name string, do func() error) error {
	m.ops.Add(1)
	m.mu.Lock()
	before, after := m.before, m.after
	m.mu.Unlock()
	if before != nil {
		if err := before(op, name); err != nil {
			return &os.PathError{Op: op, Path: name, Err: err}
		}
	}
	m.mu.Lock()
	err := do()
	m.mu.Unlock()
	if err == nil && op == "sync" && after != nil {
		after(op, name)
	}
	return err
}

// dirOp makes a change of the directory, which is durable later.
func (m *memFS) dirOp(op, name string, change func(map[string]*memFile)) error {
	return m.do(op, name, func() error {
		change(m.names)
		m.pending = append(m.pending, change)
		return nil
	})
}

func (m *memFS) MkdirAll(string) error { return nil }

func (m *memFS) RealPath(dir string) (string, error) { return filepath.Clean(dir), nil }

func (m *memFS) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, errInUse
	}
	m.locks[name] = true
	return closer(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.locks, name)
	}), nil
}

type closer func()

func (c closer) Close() error {
	c()
	return nil
}

func (m *memFS) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.names {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

func (m *memFS) Open(name string) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[name]
	if f == nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memHandle{m: m, f: f, name: name}, nil
}

func (m *memFS) Create(name string) (file, error) {
	f := &memFile{dirty: map[int]bool{}}
	if err := m.dirOp("create", name, func(names map[string]*memFile) { names[name] = f }); err != nil {
		return nil, err
	}
	return &memHandle{m: m, f: f, name: name}, nil
}

func (m *memFS) Rename(from, to string) error {
	return m.dirOp("rename", from, func(names map[string]*memFile) {
		if f := names[from]; f != nil {
			delete(names, from)
			names[to] = f
		}
	})
}

func (m *memFS) Remove(name string) error {
	return m.dirOp("remove", name, func(names map[string]*memFile) { delete(names, name) })
}

func (m *memFS) SyncDir(dir string) error {
	return m.do("sync", dir, func() error {
		for _, op := range m.pending {
			op(m.durable)
		}
		m.pending = nil
		return nil
	})
}

type memHandle struct {
	m      *memFS
	f      *memFile
	name   string
	closed atomic.Bool
}

func (h *memHandle) ReadAt(p []byte, off int64) (int, error) {
	if h.closed.Load() {
		return 0, os.ErrClosed
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if h.m.unreadable != nil {
		return 0, h.m.unreadable
	}
	if off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteSync is a write, and then a sync: a crash may come between.
func (h *memHandle) WriteSync(p []byte, off int64) error {
	if h.closed.Load() {
		return os.ErrClosed
	}
	if off%blockSize != 0 || len(p)%blockSize != 0 {
		return errors.New("a write of no whole blocks")
	}
	err := h.m.do("write", h.name, func() error {
		if end := int(off) + len(p); end > len(h.f.data) {
			h.f.data = append(h.f.data, make([]byte, end-len(h.f.data))...)
		}
		for i := 0; i < len(p); i += sectorSize {
			at := int(off) + i
			if at+sectorSize > len(h.f.stable) || !slices.Equal(h.f.stable[at:at+sectorSize], p[i:i+sectorSize]) {
				h.f.dirty[at/sectorSize] = true
			}
		}
		copy(h.f.data[off:], p)
		return nil
	})
	if err != nil {
		return err
	}
	return h.sync(int(off), int(off)+len(p))
}

// sync makes durable what was written there, and no more than it has to.
func (h *memHandle) sync(from, to int) error {
	h.m.syncs.Add(1)
	return h.m.do("sync", h.name, func() error {
		if len(h.f.stable) < len(h.f.data) {
			h.f.stable = append(h.f.stable, make([]byte, len(h.f.data)-len(h.f.stable))...)
		}
		for sector := range h.f.dirty {
			begin, end := sector*sectorSize, min((sector+1)*sectorSize, len(h.f.data))
			if begin >= from && begin < to {
				copy(h.f.stable[begin:end], h.f.data[begin:end])
				delete(h.f.dirty, sector)
			}
		}
		return nil
	})
}

func (h *memHandle) Size() (int64, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	return int64(len(h.f.data)), nil
}

func (h *memHandle) Close() error {
	h.closed.Store(true)
	return nil
}
