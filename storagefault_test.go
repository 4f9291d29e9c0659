package raft

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

var errDisk = errors.New("the disk is on fire")

// faultyStorage fails the n-th call of one method with err.
type faultyStorage struct {
	*MemoryStorage
	method string
	n      int // 0: never
	err    error
	calls  map[string]int
	failed bool
}

func (s *faultyStorage) fault(method string) error {
	s.calls[method]++
	if s.method == method && s.calls[method] == s.n {
		s.failed = true
		return s.err
	}
	return nil
}

func (s *faultyStorage) InitialState() (pb.HardState, pb.ConfState, error) {
	if err := s.fault("InitialState"); err != nil {
		return pb.HardState{}, pb.ConfState{}, err
	}
	return s.MemoryStorage.InitialState()
}

func (s *faultyStorage) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	if err := s.fault("Entries"); err != nil {
		return nil, err
	}
	return s.MemoryStorage.Entries(lo, hi, maxSize)
}

func (s *faultyStorage) Term(i uint64) (uint64, error) {
	if err := s.fault("Term"); err != nil {
		return 0, err
	}
	return s.MemoryStorage.Term(i)
}

func (s *faultyStorage) FirstIndex() (uint64, error) {
	if err := s.fault("FirstIndex"); err != nil {
		return 0, err
	}
	return s.MemoryStorage.FirstIndex()
}

func (s *faultyStorage) LastIndex() (uint64, error) {
	if err := s.fault("LastIndex"); err != nil {
		return 0, err
	}
	return s.MemoryStorage.LastIndex()
}

func (s *faultyStorage) Snapshot() (pb.Snapshot, error) {
	if err := s.fault("Snapshot"); err != nil {
		return pb.Snapshot{}, err
	}
	return s.MemoryStorage.Snapshot()
}

func (s *faultyStorage) ConfEntryIndexes(lo, hi uint64) ([]uint64, error) {
	if err := s.fault("ConfEntryIndexes"); err != nil {
		return nil, err
	}
	return s.MemoryStorage.ConfEntryIndexes(lo, hi)
}

// plainStorage hides that MemoryStorage knows where configuration entries are.
type plainStorage struct{ Storage }

// faultScript leads a node through all that reads Storage: a restart that folds
// changes of configuration, an election, appends to peers that are behind and
// so far behind that they need a snapshot, entries applied from the disk, and a
// follower whose log is compared and replaced. It ends early when the node
// fails.
func faultScript(t *testing.T, s *faultyStorage, plain bool) (*RawNode, error) {
	h := &contractHost{t: t, ms: s.MemoryStorage, votes: map[uint64]uint64{}, reads: map[string]bool{}, mayBeEmpty: true}
	cc, err := (&pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 7}).Marshal()
	require.NoError(t, err)
	ents := entriesAfter(1, 1, 1, 1, 1, 2, 3, 4)
	ents[1].Type, ents[1].Data = pb.EntryConfChange, cc
	h.must(h.ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}}}}))
	h.must(h.ms.Append(ents))
	h.must(h.ms.SetHardState(pb.HardState{Term: 4, Commit: 4}))
	h.applied = 4
	cfg := Config{ID: 1, Applied: 4, Storage: s, MaxSizePerMsg: 20, MaxCommittedSizePerReady: 10, DisablePreVote: true, ElectionTick: 50}
	if plain {
		cfg.Storage = plainStorage{s}
	}
	h.cfg = cfg
	if err := h.tryStart(); err != nil {
		return nil, err
	}
	rn := h.rn
	_ = rn.Campaign()
	h.settle()
	_ = rn.Step(pb.Message{Type: pb.MsgVoteResp, From: 2, Term: 5})
	h.settle()
	reject := pb.Message{Type: pb.MsgAppResp, From: 3, Term: 5, Reject: true, Index: 8, RejectHint: 7, LogTerm: 2}
	_ = rn.Step(reject)
	h.settle()
	for range 4 {
		for _, m := range append([]pb.Message{}, h.sent...) {
			if a, ok := agreeing(&m); ok && m.To == 2 {
				_ = rn.Step(a)
			}
		}
		_ = rn.Propose(make([]byte, 30))
		rn.Tick()
		h.settle()
	}
	if rn.Err() == nil {
		to := h.applied - 1
		_, err := h.ms.CreateSnapshot(to, &pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{7}, Index: 3}, nil)
		require.NoError(t, err)
		require.NoError(t, h.ms.Compact(to))
	}
	// 3 and 7 are before the log's start.
	_ = rn.Step(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 5})
	_ = rn.Step(pb.Message{Type: pb.MsgHeartbeatResp, From: 7, Term: 5})
	h.settle()
	_ = rn.Step(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 5, Index: 1})
	_ = rn.Step(pb.Message{Type: pb.MsgAppResp, From: 7, Term: 5, Reject: true, Index: 9, RejectHint: 8, LogTerm: 1})
	h.settle()
	// Another leader, whose log parts from this one.
	last := rn.raft.log.last.index
	_ = rn.Step(pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: 6, Index: last + 5, LogTerm: 5})
	h.settle()
	_ = rn.Step(pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: 6, Index: last + 5, LogTerm: 3})
	h.settle()
	_ = rn.Step(pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: 6, Index: rn.raft.log.committed, LogTerm: 5, Entries: entriesAfter(rn.raft.log.committed, 6, 6), Commit: 1 << 20})
	h.settle()
	return rn, nil
}

// An error of Storage that the contract does not foresee stops the node for
// good, whichever call it is: it is told by every method, nothing more is emitted
// and nothing panics. At the start the node is not made.
func TestEveryStorageFaultStopsTheNode(t *testing.T) {
	healthy := &faultyStorage{MemoryStorage: NewMemoryStorage(), calls: map[string]int{}}
	for _, plain := range []bool{false, true} {
		rn, err := faultScript(t, healthy, plain)
		require.NoError(t, err)
		require.NoError(t, rn.Err())
		require.GreaterOrEqual(t, rn.BasicStatus().Applied, uint64(13))
		calls := healthy.calls
		healthy = &faultyStorage{MemoryStorage: NewMemoryStorage(), calls: map[string]int{}}

		for method, n := range calls {
			for i := 1; i <= n; i++ {
				t.Run(fmt.Sprintf("%s %d, plain %t", method, i, plain), func(t *testing.T) {
					s := &faultyStorage{MemoryStorage: NewMemoryStorage(), method: method, n: i, err: errDisk, calls: map[string]int{}}
					rn, err := faultScript(t, s, plain)
					require.True(t, s.failed)
					if rn == nil {
						require.ErrorIs(t, err, ErrStorage)
						require.ErrorIs(t, err, errDisk)
						return
					}
					requireStopped(t, rn)
				})
			}
		}
	}
}

// requireStopped checks that the node says what stopped it, to everybody, and
// does nothing.
func requireStopped(t *testing.T, rn *RawNode) {
	require.ErrorIs(t, rn.Err(), ErrStorage)
	require.ErrorIs(t, rn.Err(), errDisk)
	before := dump(rn)
	_, leaseErr := rn.LeaseRead()
	for what, err := range map[string]error{
		"step": rn.Step(pb.Message{Type: pb.MsgHeartbeat, From: 2, To: 1, Term: 9}), "propose": rn.Propose(nil),
		"change": rn.ProposeConfChange(pb.ConfChange{NodeID: 4}), "campaign": rn.Campaign(), "read": rn.ReadIndex(nil),
		"lease": leaseErr, "transfer": rn.TransferLeader(2), "abort": rn.AbortTransfer(), "forget": rn.ForgetLeader(),
		"unreachable": rn.ReportUnreachable(2), "snapshot": rn.ReportSnapshot(2, SnapshotFinish), "apply": rn.AckApply(5),
		"append": rn.AckAppend(AppendToken{instance: rn.instance, seq: 1}), "advance": rn.Advance(Ready{}), "bootstrap": rn.Bootstrap(nil),
	} {
		require.ErrorIs(t, err, ErrStorage, what)
	}
	rn.Tick()
	require.NotNil(t, rn.ApplyConfChange(pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 9}))
	require.False(t, rn.HasReady())
	rd := rn.Ready()
	require.True(t, rd.IsEmpty())
	require.Equal(t, before, dump(rn))
	require.Equal(t, []Explanation{{Reason: ReasonStorageFailed}}, rn.Explain())
	_ = rn.Status()
}

// What the contract foresees is no fault: a snapshot that is being made, and
// compaction between two calls.
func TestExpectedStorageErrorsAreNoFaults(t *testing.T) {
	s := &faultyStorage{MemoryStorage: NewMemoryStorage(), calls: map[string]int{}}
	_, err := faultScript(t, s, false)
	require.NoError(t, err)
	require.Positive(t, s.calls["Snapshot"])
	for i := 1; i <= s.calls["Snapshot"]; i++ {
		s := &faultyStorage{MemoryStorage: NewMemoryStorage(), method: "Snapshot", n: i, err: fmt.Errorf("wrapped: %w", ErrSnapshotTemporarilyUnavailable), calls: map[string]int{}}
		rn, err := faultScript(t, s, false)
		require.NoError(t, err)
		require.NoError(t, rn.Err())
		require.True(t, s.failed)
	}
}

// lyingStorage answers without an error what cannot be.
type lyingStorage struct {
	*MemoryStorage
	entries  func([]pb.Entry) []pb.Entry
	confs    []uint64
	snapshot *pb.Snapshot
	first    uint64
}

func (s *lyingStorage) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	ents, err := s.MemoryStorage.Entries(lo, hi, maxSize)
	if s.entries != nil && err == nil {
		return s.entries(ents), nil
	}
	return ents, err
}

func (s *lyingStorage) ConfEntryIndexes(lo, hi uint64) ([]uint64, error) {
	if s.confs != nil {
		return s.confs, nil
	}
	return s.MemoryStorage.ConfEntryIndexes(lo, hi)
}

func (s *lyingStorage) Snapshot() (pb.Snapshot, error) {
	if s.snapshot != nil {
		return *s.snapshot, nil
	}
	return s.MemoryStorage.Snapshot()
}

func (s *lyingStorage) FirstIndex() (uint64, error) {
	if s.first != 0 {
		return s.first, nil
	}
	return s.MemoryStorage.FirstIndex()
}

// Entries that are not those asked for stop the node before they are applied.
func TestStorageReturnsOtherEntries(t *testing.T) {
	for name, lie := range map[string]func([]pb.Entry) []pb.Entry{
		"none":     func([]pb.Entry) []pb.Entry { return nil },
		"too many": func(e []pb.Entry) []pb.Entry { return append(e[:len(e):len(e)], e...) },
		"later":    func(e []pb.Entry) []pb.Entry { return e[1:] },
		"a gap":    func(e []pb.Entry) []pb.Entry { return append(e[:1:1], e[2:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &lyingStorage{MemoryStorage: NewMemoryStorage()}
			require.NoError(t, s.Append(entriesAfter(0, 1, 1, 1)))
			require.NoError(t, s.SetHardState(pb.HardState{Term: 1, Commit: 3}))
			rn, err := NewRawNode(&Config{ID: 1, Storage: s})
			require.NoError(t, err)
			s.entries = lie
			require.True(t, rn.HasReady())
			rd := rn.Ready()
			require.True(t, rd.IsEmpty())
			require.ErrorIs(t, rn.Err(), ErrStorage)
			require.False(t, rn.HasReady())
		})
	}
}

// A snapshot past the leader's own log, or before the entries that are gone,
// cannot be: it stops the leader instead of confusing the peer.
func TestStorageReturnsAnImpossibleSnapshot(t *testing.T) {
	for _, index := range []uint64{0, 2, 1000} {
		s := &lyingStorage{MemoryStorage: NewMemoryStorage()}
		h := newContractHost(t, Config{}, 1, 2, 3)
		s.MemoryStorage = h.ms
		h.cfg.Storage = s
		h.start()
		h.elect()
		for range 5 {
			h.must(h.rn.Propose(nil))
			h.settle()
			for _, m := range append([]pb.Message{}, h.sent...) {
				if a, ok := agreeing(&m); ok && m.To == 2 {
					_ = h.rn.Step(a)
				}
			}
		}
		h.settle()
		_, err := h.ms.CreateSnapshot(5, nil, nil)
		h.must(err)
		h.must(h.ms.Compact(5))
		s.snapshot = &pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: index, Term: 1}}
		h.must(h.rn.Step(pb.Message{Type: pb.MsgAppResp, From: 3, Term: h.rn.raft.term, Reject: true, Index: 1}))
		h.must(h.rn.Step(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: h.rn.raft.term}))
		h.settle()
		require.ErrorIs(t, h.rn.Err(), ErrStorage, "snapshot at %d", index)
	}
}

// A node is not made of a Storage that contradicts itself or lost something.
func TestInconsistentStorageAtStart(t *testing.T) {
	bad := pb.Entry{Type: pb.EntryConfChange, Term: 1, Index: 2, Data: []byte{0xff}}
	for name, c := range map[string]struct {
		hard    pb.HardState
		ents    []pb.Entry
		conf    pb.ConfState
		applied uint64
		first   uint64
		confs   []uint64
		want    error
	}{
		"fine":                          {hard: pb.HardState{Term: 2, Commit: 2}, ents: entriesAfter(1, 1, 2), applied: 2},
		"lost hard state":               {hard: pb.HardState{Term: 1}, ents: entriesAfter(1, 1, 2), want: ErrStorage},
		"no hard state":                 {ents: entriesAfter(1, 1), want: ErrStorage},
		"lost entries":                  {hard: pb.HardState{Term: 2, Commit: 9}, ents: entriesAfter(1, 1), want: ErrStorage},
		"wrapped commit":                {hard: pb.HardState{Term: 2, Commit: 1<<64 - 1}, want: ErrStorage},
		"wrapped term":                  {hard: pb.HardState{Term: 1<<64 - 1}, want: ErrStorage},
		"applied past the end":          {hard: pb.HardState{Term: 2}, ents: entriesAfter(1, 1), applied: 3, want: ErrInvalidConfig},
		"applied before the snapshot":   {hard: pb.HardState{Term: 2}, ents: entriesAfter(1, 1), applied: 1, first: 3, want: ErrInvalidConfig},
		"first past the end":            {hard: pb.HardState{Term: 2}, first: 9, want: ErrStorage},
		"no first index":                {hard: pb.HardState{Term: 2}, ents: entriesAfter(1, 1), first: 1<<64 - 1, want: ErrStorage},
		"member twice":                  {hard: pb.HardState{Term: 2}, conf: pb.ConfState{Voters: []uint64{1, 1}, Index: 1}, want: ErrStorage},
		"member 0":                      {hard: pb.HardState{Term: 2}, conf: pb.ConfState{Voters: []uint64{0}, Index: 1}, want: ErrStorage},
		"corrupt configuration entry":   {hard: pb.HardState{Term: 2}, ents: []pb.Entry{bad}, applied: 2, want: ErrStorage},
		"configuration entry elsewhere": {hard: pb.HardState{Term: 2}, ents: entriesAfter(1, 1, 1), applied: 2, confs: []uint64{9}, want: ErrStorage},
		"configuration entries mixed":   {hard: pb.HardState{Term: 2}, ents: entriesAfter(1, 1, 1, 1), applied: 1, confs: []uint64{3, 2}, want: ErrStorage},
		"configuration entry is normal": {hard: pb.HardState{Term: 2}, ents: entriesAfter(1, 1), applied: 2, confs: []uint64{2}, want: ErrStorage},
	} {
		t.Run(name, func(t *testing.T) {
			s := &lyingStorage{MemoryStorage: NewMemoryStorage(), first: c.first, confs: c.confs}
			require.NoError(t, s.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}}}}))
			require.NoError(t, s.Append(c.ents))
			require.NoError(t, s.SetHardState(c.hard))
			if c.conf.Index != 0 {
				s.SetConfState(c.conf)
			}
			rn, err := NewRawNode(&Config{ID: 1, Storage: s, Applied: c.applied})
			if c.want == nil {
				require.NoError(t, err)
				require.NotNil(t, rn)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.Nil(t, rn)
		})
	}
}
