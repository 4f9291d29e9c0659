package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/pebblestore"
	"github.com/quorate-raft/raft/storage/wal"
)

// saver is what the storages have in common.
type saver interface{ Save(rd raft.Ready) error }

// storageEngines open an engine and return its groups.
var storageEngines = []struct {
	name string
	open func(dir string, groups int) ([]saver, func() error, error)
}{
	{"pebblestore", func(dir string, groups int) ([]saver, func() error, error) {
		e, err := pebblestore.Open(dir, nil)
		if err != nil {
			return nil, nil, err
		}
		s, err := savers(groups, e.Group)
		return s, e.Close, err
	}},
	{"wal", openWAL(nil)},
	{"wal-cached", openWAL(&wal.Options{DisableDirectIO: true})},
}

func openWAL(o *wal.Options) func(string, int) ([]saver, func() error, error) {
	return func(dir string, groups int) ([]saver, func() error, error) {
		e, err := wal.Open(dir, o)
		if err != nil {
			return nil, nil, err
		}
		s, err := savers(groups, e.Group)
		return s, e.Close, err
	}
}

func savers[S saver](n int, group func(uint64) (S, error)) (all []saver, err error) {
	for id := range n {
		s, err := group(uint64(id))
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// BenchmarkStorage is what the storage engines take for synced writes of 128 bytes: three
// engines at once, as in a cluster in one process, with so many groups each of which
// writes, waits, and writes again. An operation is one write on each engine.
//
//	go test -run '^$' -bench Storage -benchtime 2s -count 5 .
func BenchmarkStorage(b *testing.B) {
	const engines = 3
	for _, groups := range []int{1, 4, 16, 64} {
		for _, engine := range storageEngines {
			b.Run(fmt.Sprintf("writers=%d/%s", groups, engine.name), func(b *testing.B) {
				dir := b.TempDir()
				var all [engines][]saver
				for i := range all {
					open, shut, err := engine.open(filepath.Join(dir, fmt.Sprint(i)), groups)
					if err != nil {
						b.Fatal(err)
					}
					defer shut()
					all[i] = open
				}
				benchmarkSaves(b, all[:])
			})
		}
	}
}

// benchmarkSaves makes b.N writes on each engine, shared by its groups.
func benchmarkSaves(b *testing.B, engines [][]saver) {
	var mu sync.Mutex
	var times []time.Duration
	var running sync.WaitGroup
	b.ResetTimer()
	for _, groups := range engines {
		for g, s := range groups {
			running.Go(func() {
				var mine []time.Duration
				next := uint64(0)
				for i := g; i < b.N; i += len(groups) {
					next++
					began := time.Now()
					err := s.Save(raft.Ready{
						Entries:   []pb.Entry{{Index: next, Term: 1, Data: make([]byte, 128)}},
						HardState: pb.HardState{Term: 1, Commit: next}, MustSync: true,
					})
					if err != nil {
						b.Error(err)
						return
					}
					mine = append(mine, time.Since(began))
				}
				mu.Lock()
				defer mu.Unlock()
				times = append(times, mine...)
			})
		}
	}
	running.Wait()
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "µs/p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "µs/p99")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
