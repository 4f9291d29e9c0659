package pebblestore

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

const benchData = 128

func benchEngine(b *testing.B) (*Engine, *watchedFS) {
	w := &watchedFS{FS: vfs.Default}
	e, err := Open(b.TempDir(), &Options{FS: w})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, e.Close()) })
	return e, w
}

// writer appends a number of entries with each call.
type writer struct {
	s    *Storage
	ents []pb.Entry
	next uint64
}

func newWriter(b *testing.B, e *Engine, id uint64, n int) *writer {
	w := &writer{s: group(b, e, id), next: 1}
	for range n {
		w.ents = append(w.ents, pb.Entry{Term: 1, Data: make([]byte, benchData)})
	}
	return w
}

func (w *writer) append(b *testing.B) {
	for i := range w.ents {
		w.ents[i].Index = w.next
		w.next++
	}
	if err := w.s.Save(raft.Ready{Entries: w.ents, MustSync: true}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppend is one group that appends and syncs.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint("entries=", n), func(b *testing.B) {
			e, _ := benchEngine(b)
			w := newWriter(b, e, 1, n)
			for b.Loop() {
				w.append(b)
			}
		})
	}
}

// BenchmarkBareFile is what BenchmarkAppend is to be compared with: the same bytes
// at the end of a file, synced.
func BenchmarkBareFile(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint("entries=", n), func(b *testing.B) {
			f, err := vfs.Default.Create(filepath.Join(b.TempDir(), "log"), vfs.WriteCategoryUnspecified)
			require.NoError(b, err)
			defer f.Close()
			data := make([]byte, n*benchData)
			for b.Loop() {
				if _, err := f.Write(data); err != nil {
					b.Fatal(err)
				}
				if err := f.SyncData(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGroups is groups that append and sync at the same time. It tells how
// many syncs of the log there were for each Save.
func BenchmarkGroups(b *testing.B) {
	for _, groups := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("groups=", groups), func(b *testing.B) {
			e, w := benchEngine(b)
			var running sync.WaitGroup
			before := w.syncs.Load()
			b.ResetTimer()
			for id := range groups {
				one := newWriter(b, e, uint64(id), 1)
				running.Go(func() {
					for i := id; i < b.N; i += groups {
						one.append(b)
					}
				})
			}
			running.Wait()
			b.StopTimer()
			b.ReportMetric(float64(w.syncs.Load()-before)/float64(b.N), "syncs/save")
		})
	}
}

// BenchmarkUnsynced is what Save costs beside the sync.
func BenchmarkUnsynced(b *testing.B) {
	e, _ := benchEngine(b)
	w := newWriter(b, e, 1, 1)
	b.ReportAllocs()
	for b.Loop() {
		w.ents[0].Index = w.next
		w.next++
		if err := w.s.Save(raft.Ready{Entries: w.ents}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads 1,000 entries: from the cache, from a memtable, from files.
func BenchmarkRead(b *testing.B) {
	for _, from := range []string{"cache", "memtable", "files"} {
		b.Run(from, func(b *testing.B) {
			o := &Options{}
			if from != "cache" {
				o.EntryCacheBytes = -1
			}
			e, err := Open(b.TempDir(), o)
			require.NoError(b, err)
			defer e.Close()
			s := group(b, e, 1)
			save(b, s, entries(1, 1001, 1, benchData))
			if from == "files" {
				require.NoError(b, e.db.Flush())
			}
			b.ReportAllocs()
			for b.Loop() {
				if ents, err := s.Entries(1, 1001, 1<<30); err != nil || len(ents) != 1000 {
					b.Fatal(len(ents), err)
				}
			}
		})
	}
}

// BenchmarkTerm is a look-up of a term.
func BenchmarkTerm(b *testing.B) {
	e, _ := benchEngine(b)
	s := group(b, e, 1)
	save(b, s, entries(1, 1001, 1, benchData))
	for b.Loop() {
		if _, err := s.Term(500); err != nil {
			b.Fatal(err)
		}
	}
}
