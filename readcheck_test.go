package raft

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// misreading is a storage whose reads return what lies elsewhere, or what was
// there before.
type misreading struct {
	*MemoryStorage
	spoil func(ents []pb.Entry)
}

func (s *misreading) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	ents, err := s.MemoryStorage.Entries(lo, hi, maxSize)
	if err == nil && s.spoil != nil {
		ents = slices.Clone(ents)
		s.spoil(ents)
	}
	return ents, err
}

// An entry that Storage returns in place of another, or with a term that the log
// does not have there, is never applied nor sent: the node stops with an error
// (reliability: misdirected and stale reads). Data under the right index and term
// cannot be told from the right one; that is what checksums are for.
func TestMisreadStopsTheNode(t *testing.T) {
	for name, spoil := range map[string]func(ents []pb.Entry){
		"another entry in the middle": func(ents []pb.Entry) { ents[2].Index++ },
		"two entries exchanged":       func(ents []pb.Entry) { ents[1], ents[2] = ents[2], ents[1] },
		"all from further on": func(ents []pb.Entry) {
			for i := range ents {
				ents[i].Index++
			}
		},
		"a term of before, last":   func(ents []pb.Entry) { ents[len(ents)-1].Term = 2 },
		"a term of before, first":  func(ents []pb.Entry) { ents[0].Term = 0 },
		"a term of before, middle": func(ents []pb.Entry) { ents[2].Term = 1 },
		"a term that comes later":  func(ents []pb.Entry) { ents[2].Term = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			s := &misreading{MemoryStorage: NewMemoryStorage()}
			require.NoError(t, s.ApplySnapshot(pb.Snapshot{
				Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}}},
			}))
			require.NoError(t, s.Append(entriesAfter(1, 1, 1, 1, 2, 2, 3)))
			require.NoError(t, s.SetHardState(pb.HardState{Term: 3, Commit: 7}))
			cfg := Config{ID: 1, Storage: s, Applied: 2}

			rn, err := NewRawNode(&cfg)
			require.NoError(t, err)
			require.Len(t, rn.Ready().CommittedEntries, 5, "as long as it reads what it wrote")

			rn, err = NewRawNode(&cfg)
			require.NoError(t, err)
			s.spoil = spoil
			require.Empty(t, rn.Ready().CommittedEntries)
			require.ErrorIs(t, rn.Err(), ErrStorage)
			require.ErrorIs(t, rn.Step(pb.Message{Type: pb.MsgHeartbeat, From: 2, To: 1, Term: 3}), ErrStorage)

			// Changes of configuration are looked for among them at the start.
			cfg.Storage = plainStorage{s}
			_, err = NewRawNode(&cfg)
			require.ErrorIs(t, err, ErrStorage)
		})
	}
}

// The terms of entries written in this life are known without asking Storage, of
// however many terms.
func TestMisreadOfKnownTerms(t *testing.T) {
	s := NewMemoryStorage()
	l, err := newLog(s, pb.HardState{}, 0)
	require.NoError(t, err)
	ents := entriesAfter(0, 1, 1, 2, 4, 4, 4, 7)
	l.append(ents)
	require.NoError(t, l.checkRead(ents, 1, 8))
	for i := range ents {
		stale := slices.Clone(ents)
		stale[i].Term++
		require.Error(t, l.checkRead(stale, 1, 8), "entry %d", i+1)
		stale[i].Term -= 2
		require.Error(t, l.checkRead(stale, 1, 8), "entry %d", i+1)
	}
	require.Error(t, l.checkRead(nil, 1, 8))
	require.Error(t, l.checkRead(ents, 1, 7), "more than was asked for")
}
