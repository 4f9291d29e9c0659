package sim

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// storages is what survives the processes of a run: a MemoryStorage for each node.
type storages struct {
	of   map[uint64]*raft.MemoryStorage
	wrap func(rafttest.Storage, *raft.MemoryStorage) rafttest.Storage
}

func newStorages() *storages { return &storages{of: map[uint64]*raft.MemoryStorage{}} }

func (s *storages) open(id uint64, created bool) (rafttest.Storage, error) {
	if created {
		s.of[id] = raft.NewMemoryStorage()
	}
	own := rafttest.Memory(s.of[id])
	if s.wrap != nil {
		own = s.wrap(own, s.of[id])
	}
	return own, nil
}

// A storage that keeps its contract survives all faults, beside each profile and
// with all of them; every node has one of its own, which is created once.
func TestStorage(t *testing.T) {
	t.Parallel()
	var total Stats
	for one := Faults(1); one < endOfFaults; one <<= 1 {
		for _, faults := range []Faults{one, All} {
			total.Add(clean(t, max(2, seeds(6)), func(seed uint64) Options {
				return Options{Seed: seed + uint64(one), Steps: 8000, Faults: faults, OpenStorage: newStorages().open}
			}))
		}
	}
	require.NotZero(t, total.Crashes)
	require.NotZero(t, total.Stops)
	require.NotZero(t, total.Snapshots)
	require.NotZero(t, total.Marks[markTruncated])
	require.NotZero(t, total.Marks[markRestored])

	created, opened := map[uint64]int{}, map[uint64]int{}
	own := newStorages()
	o := Options{Seed: 1, Nodes: 3, Faults: Crash, OpenStorage: func(id uint64, fresh bool) (rafttest.Storage, error) {
		if opened[id]++; fresh {
			created[id]++
		}
		return own.open(id, fresh)
	}}
	r := Run(o)
	require.Nil(t, r.Violation)
	require.Equal(t, map[uint64]int{1: 1, 2: 1, 3: 1}, created)
	require.Equal(t, int(r.Stats.Starts), opened[1]+opened[2]+opened[3])
}

// A storage that breaks its contract in any way is found out: at the latest when
// its node starts again, by what it was given to save.
func TestBrokenStorages(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(s rafttest.Storage, ms *raft.MemoryStorage) rafttest.Storage{
		"loses the last entry of a write":       func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage { return losesLast{s} },
		"forgets the hard state beside entries": func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage { return forgetsState{s} },
		"keeps the commit and loses the vote":   func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage { return forgetsVote{s} },
		"keeps the end of the log that was replaced": func(s rafttest.Storage, ms *raft.MemoryStorage) rafttest.Storage {
			return keepsTail{s, ms}
		},
		"ignores a snapshot that is received": func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage {
			return ignoresSnapshots{s}
		},
		"keeps the first configuration":     func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage { return keepsConf{s} },
		"forgets that a change is joint":    func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage { return forgetsHalf{s} },
		"stores snapshots without data":     func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage { return emptySnapshots{s} },
		"drops one entry more":              func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage { return compactsMore{s} },
		"knows no term before its first":    func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage { return noBoundary{s} },
		"mixes up entries in a long read":   func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage { return mixesUp{s} },
		"overwrites what it has handed out": func(s rafttest.Storage, ms *raft.MemoryStorage) rafttest.Storage { return &overwrites{Storage: s} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caught(t, "storage S3 S5 S9 S18 S19 S20 start", func(seed uint64) Options {
				own := newStorages()
				own.wrap = wrap
				return Options{Seed: seed, Steps: 8000, Nodes: 3, Faults: All, OpenStorage: own.open}
			})
		})
	}
}

// What a storage reports as an error of its own ends the run as well: a correct
// one has no reason to.
func TestStorageErrors(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(f *failing){
		"Save":           func(f *failing) { f.save = errBroken },
		"SetConfState":   func(f *failing) { f.conf = errBroken },
		"CreateSnapshot": func(f *failing) { f.snapshot = errBroken },
		"Compact":        func(f *failing) { f.compact = errBroken },
	} {
		o := Options{Seed: 3, Nodes: 3, Faults: Membership | Snapshot}
		own := newStorages()
		own.wrap = func(s rafttest.Storage, _ *raft.MemoryStorage) rafttest.Storage {
			f := &failing{Storage: s}
			fail(f)
			return f
		}
		o.OpenStorage = own.open
		v := Run(o).Violation
		require.NotNil(t, v, name)
		require.Equal(t, "storage", v.Rule, name)
		require.Contains(t, v.Detail, errBroken.Error(), name)
	}
	v := Run(Options{OpenStorage: func(uint64, bool) (rafttest.Storage, error) { return nil, errBroken }}).Violation
	require.NotNil(t, v)
	require.Equal(t, "storage", v.Rule)
	require.Contains(t, v.Detail, "opening the storage: "+errBroken.Error())
}

var errBroken = errors.New("broken on purpose")

type failing struct {
	rafttest.Storage
	save, conf, snapshot, compact error
}

func (f *failing) Save(rd raft.Ready) error {
	return errors.Join(f.save, f.Storage.Save(rd))
}

func (f *failing) SetConfState(cs pb.ConfState) error {
	return errors.Join(f.conf, f.Storage.SetConfState(cs))
}

func (f *failing) CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error {
	return errors.Join(f.snapshot, f.Storage.CreateSnapshot(i, cs, data))
}

func (f *failing) Compact(i uint64) error { return errors.Join(f.compact, f.Storage.Compact(i)) }

type losesLast struct{ rafttest.Storage }

func (l losesLast) Save(rd raft.Ready) error {
	if len(rd.Entries) > 1 {
		rd.Entries = rd.Entries[:len(rd.Entries)-1]
	}
	return l.Storage.Save(rd)
}

type forgetsState struct{ rafttest.Storage }

func (f forgetsState) Save(rd raft.Ready) error {
	if len(rd.Entries) > 0 {
		rd.HardState = pb.HardState{}
	}
	return f.Storage.Save(rd)
}

type forgetsVote struct{ rafttest.Storage }

func (f forgetsVote) Save(rd raft.Ready) error {
	rd.Vote = 0
	return f.Storage.Save(rd)
}

type keepsTail struct {
	rafttest.Storage
	ms *raft.MemoryStorage
}

func (k keepsTail) Save(rd raft.Ready) error {
	var tail []pb.Entry
	last, _ := k.LastIndex()
	if n := len(rd.Entries); n > 0 && rd.Entries[n-1].Index < last {
		tail, _ = k.Entries(rd.Entries[n-1].Index+1, last+1, math.MaxUint64)
	}
	return errors.Join(k.Storage.Save(rd), k.ms.Append(tail))
}

type ignoresSnapshots struct{ rafttest.Storage }

func (i ignoresSnapshots) Save(rd raft.Ready) error {
	if rd.Snapshot.Metadata.Index > 1 { // the one that the group begins with
		rd.Snapshot = pb.Snapshot{}
	}
	return i.Storage.Save(rd)
}

type keepsConf struct{ rafttest.Storage }

func (keepsConf) SetConfState(pb.ConfState) error { return nil }

type forgetsHalf struct{ rafttest.Storage }

func (f forgetsHalf) SetConfState(cs pb.ConfState) error {
	cs.VotersOutgoing = nil
	return f.Storage.SetConfState(cs)
}

type emptySnapshots struct{ rafttest.Storage }

func (e emptySnapshots) CreateSnapshot(i uint64, cs pb.ConfState, _ []byte) error {
	return e.Storage.CreateSnapshot(i, cs, nil)
}

type compactsMore struct{ rafttest.Storage }

func (c compactsMore) Compact(i uint64) error {
	last, _ := c.LastIndex()
	return c.Storage.Compact(min(i+1, last))
}

type noBoundary struct{ rafttest.Storage }

func (n noBoundary) Term(i uint64) (uint64, error) {
	if first, _ := n.FirstIndex(); i < first {
		return 0, raft.ErrCompacted
	}
	return n.Storage.Term(i)
}

type mixesUp struct{ rafttest.Storage }

func (m mixesUp) Entries(lo, hi, size uint64) ([]pb.Entry, error) {
	ents, err := m.Storage.Entries(lo, hi, size)
	if n := len(ents); n > 2 {
		ents = slices.Clone(ents)
		ents[n-2].Data, ents[n-1].Data = ents[n-1].Data, ents[n-2].Data
	}
	return ents, err
}

// overwrites hands out entries whose bytes it uses again at the next write.
type overwrites struct {
	rafttest.Storage
	handed [][]byte
}

func (o *overwrites) Entries(lo, hi, size uint64) ([]pb.Entry, error) {
	ents, err := o.Storage.Entries(lo, hi, size)
	ents = slices.Clone(ents)
	for i := range ents {
		ents[i].Data = slices.Clone(ents[i].Data)
		o.handed = append(o.handed, ents[i].Data)
	}
	return ents, err
}

func (o *overwrites) Save(rd raft.Ready) error {
	for _, data := range o.handed {
		clear(data)
	}
	o.handed = nil
	return o.Storage.Save(rd)
}
