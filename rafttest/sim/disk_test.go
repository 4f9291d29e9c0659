package sim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// diskModel is what records amount to, one after the other, in the plainest form.
type diskModel struct {
	hs        pb.HardState
	confIndex uint64
	snap      uint64
	base      uint64
	log       map[uint64]pb.Entry // with what stands for the entry at base
	last      uint64
}

func modelOf(records []record) *diskModel {
	m := &diskModel{log: map[uint64]pb.Entry{0: {}}}
	for _, r := range records {
		if r.snap != nil {
			meta := &r.snap.Metadata
			m.snap = meta.Index
			if of := cmp.Or(meta.ConfState.Index, meta.Index); r.received || of >= m.confIndex {
				m.confIndex = of
			}
			if r.received {
				m.base, m.last = meta.Index, meta.Index
				m.log = map[uint64]pb.Entry{meta.Index: {Term: meta.Term}}
			}
		}
		for _, e := range r.ents {
			m.log[e.Index], m.last = e, e.Index
		}
		if !raft.IsEmptyHardState(r.hs) {
			m.hs = r.hs
		}
		if r.conf != nil {
			m.confIndex = max(m.confIndex, r.conf.Index)
		}
		m.base = max(m.base, r.compact)
	}
	return m
}

func (m *diskModel) require(t *testing.T, im *image) {
	t.Helper()
	require.Equal(t, m.hs, im.hs)
	require.Equal(t, m.confIndex, im.conf.Index)
	require.Equal(t, m.snap, im.snap.Metadata.Index)
	require.Equal(t, m.base, im.base)
	require.Equal(t, m.last, im.last())
	for i := m.base; i <= m.last; i++ {
		term, ok := im.term(i)
		require.True(t, ok)
		require.Equal(t, m.log[i].Term, term, "entry %d", i)
		if i > m.base {
			require.Equal(t, m.log[i], im.ents[i-m.base-1])
		}
	}
}

// randomRecord is a write as a host could make it on the image: nothing that a
// snapshot covers is replaced, and nothing else is compacted.
func randomRecord(r *random, im *image, term uint64) record {
	covered := im.snap.Metadata.Index
	from := im.last() + 1
	if r.oneIn(4) { // in place of the end of the log
		from = uint64(r.between(int64(covered+1), int64(from)))
	}
	rec := record{}
	switch r.below(8) {
	case 0:
		rec.snap = &pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: im.last() + 3, Term: term}}
		if r.oneIn(2) { // else it does not say of which index its configuration is
			rec.snap.Metadata.ConfState.Index = im.last() + uint64(r.below(4))
		}
		rec.received = true
	case 1:
		if i := im.last(); i > covered {
			at, _ := im.term(i)
			rec.snap = &pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: i, Term: at}}
			rec.snap.Metadata.ConfState.Index = covered
		}
	case 2:
		rec.compact = uint64(r.between(0, int64(covered)))
	case 3:
		rec.conf = &pb.ConfState{Index: im.conf.Index + uint64(r.below(3))}
	case 4:
		rec.conf = &pb.ConfState{Index: im.conf.Index / 2} // of an older change: not kept
	default:
		for i := range uint64(r.below(5)) {
			rec.ents = append(rec.ents, pb.Entry{Index: from + i, Term: term, Data: []byte(fmt.Sprint(from+i, term))})
		}
		if r.oneIn(2) {
			rec.hs = pb.HardState{Term: term, Commit: im.base}
		}
	}
	return rec
}

// A crash leaves a beginning of what was written, all that was synced in it, and
// that is durable from then on. Entries that were handed out never change,
// whatever is written later.
func TestDiskCrash(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := newRandom(seed, 1)
		d := newDisk()
		var written []record
		synced := 0
		var handed, copies [][]pb.Entry
		for term := uint64(1); term <= 150; term++ {
			switch {
			case r.oneIn(8):
				d.syncTo(d.count)
				synced = len(written)
			case r.oneIn(12): // an older write's
				n := r.below(len(written) + 1)
				d.syncTo(uint64(n))
				synced = max(synced, n)
			case r.oneIn(10):
				keep := r.below(len(d.unsynced) + 1)
				written = written[:synced+keep]
				d.fail(keep)
				d.count = uint64(len(written)) // numbers begin again in this test
				synced = len(written)
				modelOf(written).require(t, &d.durable)
			default:
				rec := randomRecord(r, &d.written, term)
				written = append(written, rec)
				d.write(rec)
			}
			modelOf(written).require(t, &d.written)
			modelOf(written[:synced]).require(t, &d.durable)
			if d.written.last() > d.written.base {
				ents, err := d.Entries(d.written.base+1, d.written.last()+1, math.MaxUint64)
				require.NoError(t, err)
				handed, copies = append(handed, ents), append(copies, slices.Clone(ents))
			}
		}
		require.Equal(t, copies, handed)
	}
}

// hostDisk is a simulated disk as a host would have it, which may write while its
// node reads.
type hostDisk struct {
	mu sync.Mutex
	d  *disk
}

// locked makes a read that nothing is written beside.
func locked[T any](h *hostDisk, read func() (T, error)) (T, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return read()
}

func (h *hostDisk) InitialState() (pb.HardState, pb.ConfState, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.d.InitialState()
}

func (h *hostDisk) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	return locked(h, func() ([]pb.Entry, error) { return h.d.Entries(lo, hi, maxSize) })
}

func (h *hostDisk) Term(i uint64) (uint64, error) {
	return locked(h, func() (uint64, error) { return h.d.Term(i) })
}

func (h *hostDisk) LastIndex() (uint64, error) { return locked(h, h.d.LastIndex) }

func (h *hostDisk) FirstIndex() (uint64, error) { return locked(h, h.d.FirstIndex) }

func (h *hostDisk) Snapshot() (pb.Snapshot, error) { return locked(h, h.d.Snapshot) }

func (h *hostDisk) Save(rd raft.Ready) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	rec := record{hs: rd.HardState, ents: rd.Entries}
	end := h.d.written.last()
	if !raft.IsEmptySnap(rd.Snapshot) {
		if end = rd.Snapshot.Metadata.Index; end <= h.d.written.snap.Metadata.Index {
			return raft.ErrSnapOutOfDate
		}
		rec.snap, rec.received = &rd.Snapshot, true
	}
	if len(rd.Entries) > 0 && rd.Entries[0].Index > end+1 {
		return errors.New("a gap")
	}
	h.d.write(rec)
	if rd.MustSync {
		h.d.syncTo(h.d.count)
	}
	return nil
}

func (h *hostDisk) SetConfState(cs pb.ConfState) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.d.write(record{conf: &cs})
	return nil
}

func (h *hostDisk) CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	term, err := h.d.Term(i)
	switch {
	case i <= h.d.written.snap.Metadata.Index:
		return raft.ErrSnapOutOfDate
	case err != nil:
		return err
	}
	h.d.write(record{snap: &pb.Snapshot{Data: data, Metadata: pb.SnapshotMetadata{Index: i, Term: term, ConfState: cs}}})
	return nil
}

func (h *hostDisk) Compact(i uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case i <= h.d.written.base:
		return raft.ErrCompacted
	case i > h.d.written.last():
		return raft.ErrUnavailable
	}
	h.d.write(record{compact: i})
	return nil
}

// The simulated disk keeps the contract that storages have to keep, through
// crashes and restarts.
func TestDiskIsAStorage(t *testing.T) {
	t.Parallel()
	rafttest.TestStorage(t, func(testing.TB) rafttest.StorageMedium {
		d := newDisk()
		r := newRandom(1, 1)
		return rafttest.StorageMedium{
			Open:  func() (rafttest.Storage, error) { return &hostDisk{d: d}, d.openable() },
			Close: func(rafttest.Storage) error { d.fail(len(d.unsynced)); return nil },
			Crash: func(rafttest.Storage) { d.fail(r.below(len(d.unsynced) + 1)) },
		}
	})
}

// Rot is reported by reads of that entry and by recovery, and nothing else is
// lost or cut off with it; once it is compacted it does not matter.
func TestDiskRot(t *testing.T) {
	t.Parallel()
	d := newDisk()
	d.write(record{ents: []pb.Entry{{Index: 1, Term: 1}, {Index: 2, Term: 1}, {Index: 3, Term: 1}, {Index: 4, Term: 1}}})
	d.syncTo(d.count)
	require.NoError(t, d.openable())
	d.rotten = 3
	for lo := uint64(1); lo <= 4; lo++ {
		for hi := lo + 1; hi <= 5; hi++ {
			ents, err := d.Entries(lo, hi, math.MaxUint64)
			if lo <= 3 && 3 < hi {
				require.ErrorIs(t, err, errRot)
				require.Empty(t, ents)
				continue
			}
			require.NoError(t, err)
			require.Len(t, ents, int(hi-lo))
		}
	}
	d.fail(0)
	require.ErrorIs(t, d.openable(), errRot)
	last, err := d.LastIndex()
	require.NoError(t, err)
	require.Equal(t, uint64(4), last)
	d.write(record{compact: 3})
	d.syncTo(d.count)
	require.NoError(t, d.openable())
}

// A disk that is lost cannot be opened as if it were a new one; what fails or is
// not there says so, and changes nothing.
func TestDiskFaults(t *testing.T) {
	t.Parallel()
	d := newDisk()
	d.write(record{ents: []pb.Entry{{Index: 1, Term: 1, Data: make([]byte, 100)}, {Index: 2, Term: 1}}})
	d.readFails = true
	_, err := d.Entries(1, 3, math.MaxUint64)
	require.ErrorIs(t, err, errRead)
	d.readFails = false
	ents, err := d.Entries(1, 3, 1)
	require.NoError(t, err)
	require.Len(t, ents, 1, "the first, however large")
	d.noSnapshot = true
	_, err = d.Snapshot()
	require.ErrorIs(t, err, raft.ErrSnapshotTemporarilyUnavailable)
	d.wiped = true
	require.ErrorContains(t, d.openable(), "empty")
	require.Panics(t, func() { d.write(record{ents: []pb.Entry{{Index: 4, Term: 1}}}) }, "a gap is a bug of the simulator")
}

// A node whose disk rotted or was lost never starts again in its run and says
// nothing more, and the group goes on without it; one whose disk fails a read, a
// write or a sync stops and starts again with what is durable.
func TestLostDisks(t *testing.T) {
	t.Parallel()
	var total Stats
	for seed := uint64(1); seed <= 60 && total.Replaced < 3; seed++ {
		r, events := recorded(Options{Seed: seed, Nodes: 5, Steps: 6000, Faults: Disk})
		require.Nil(t, r.Violation, "seed %d", seed)
		total.Add(&r.Stats)
		up, lost := map[uint64]bool{}, map[uint64]bool{}
		for _, e := range events {
			require.False(t, lost[e.Node], "seed %d: %v", seed, &e)
			switch e.Kind {
			case trace.Start:
				up[e.Node] = true
			case trace.Crash:
				up[e.Node] = false
			case trace.Stop: // of a process, or its disk cannot be opened any more
				lost[e.Node] = !up[e.Node]
				up[e.Node] = false
			}
		}
		maps.DeleteFunc(lost, func(_ uint64, is bool) bool { return !is })
		require.Len(t, lost, int(r.Stats.Replaced))
	}
	require.NotZero(t, total.Replaced)
	require.Greater(t, total.Stops, total.Replaced)
}
