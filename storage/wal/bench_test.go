package wal

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

const benchData = 128

func benchEngine(b *testing.B, o *Options) *Engine {
	e, err := Open(b.TempDir(), o)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, e.Close()) })
	return e
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

func (w *writer) append(b *testing.B, sync bool) {
	for i := range w.ents {
		w.ents[i].Index = w.next
		w.next++
	}
	if err := w.s.Save(raft.Ready{Entries: w.ents, MustSync: sync}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppend is one group that appends and syncs.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint("entries=", n), func(b *testing.B) {
			w := newWriter(b, benchEngine(b, nil), 1, n)
			for b.Loop() {
				w.append(b, true)
			}
		})
	}
}

// BenchmarkBareFile is what BenchmarkAppend is to be compared with: the same blocks, in a
// file that was written before.
func BenchmarkBareFile(b *testing.B) {
	for _, direct := range []bool{true, false} {
		for _, size := range []int{blockSize, 4 * blockSize} {
			b.Run(fmt.Sprintf("direct=%v/bytes=%d", direct, size), func(b *testing.B) {
				f, err := osFiles{direct: direct}.Create(filepath.Join(b.TempDir(), "log"))
				require.NoError(b, err)
				defer f.Close()
				const length = 16 << 20
				zeros := alignedBytes(fillBytes)
				for at := int64(0); at < length; at += fillBytes {
					require.NoError(b, f.WriteSync(zeros, at))
				}
				at := int64(0)
				for b.Loop() {
					if err := f.WriteSync(zeros[:size], at%length); err != nil {
						b.Fatal(err)
					}
					at += int64(size)
				}
			})
		}
	}
}

// BenchmarkGroups is groups that append and sync at the same time.
func BenchmarkGroups(b *testing.B) {
	for _, groups := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("groups=", groups), func(b *testing.B) {
			e := benchEngine(b, nil)
			var running sync.WaitGroup
			b.ResetTimer()
			for id := range groups {
				one := newWriter(b, e, uint64(id), 1)
				running.Go(func() {
					for i := id; i < b.N; i += groups {
						one.append(b, true)
					}
				})
			}
			running.Wait()
		})
	}
}

// BenchmarkUnsynced is what Save costs beside the sync.
func BenchmarkUnsynced(b *testing.B) {
	o := small(newMemFS())
	o.SegmentBytes, o.LogBytes = 16<<20, 64<<20
	w := newWriter(b, benchEngine(b, o), 1, 1)
	b.ReportAllocs()
	for b.Loop() {
		w.append(b, false)
		if w.next%1024 == 0 { // or the file system in memory is all that is measured
			b.StopTimer()
			require.NoError(b, w.s.Compact(w.next-1))
			w.append(b, true)
			b.StartTimer()
		}
	}
}

// BenchmarkRead reads 1,000 entries: from the cache, and from a file.
func BenchmarkRead(b *testing.B) {
	for _, from := range []string{"cache", "file"} {
		b.Run(from, func(b *testing.B) {
			o := &Options{}
			if from != "cache" {
				o.EntryCacheBytes = -1
			}
			s := group(b, benchEngine(b, o), 1)
			save(b, s, entries(1, 1001, 1, benchData))
			b.ReportAllocs()
			for b.Loop() {
				if ents, err := s.Entries(1, 1001, 1<<30); err != nil || len(ents) != 1000 {
					b.Fatal(len(ents), err)
				}
			}
		})
	}
}

// BenchmarkOpen opens a log of 64 MiB in which 1,000 groups have 100 entries each.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	e, err := Open(dir, nil)
	require.NoError(b, err)
	for id := range uint64(1000) {
		require.NoError(b, group(b, e, id).Save(raft.Ready{Entries: entries(1, 101, 1, 500), MustSync: true}))
	}
	require.NoError(b, e.Close())
	for b.Loop() {
		e, err := Open(dir, nil)
		require.NoError(b, err)
		b.StopTimer()
		require.NoError(b, e.Close())
		b.StartTimer()
	}
}
