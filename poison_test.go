package raft

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// poisoned is a group whose hosts use what is theirs as badly as they may: after each
// acknowledgement they overwrite the arrays that were only lent to them, and append to
// those that they keep.
type poisoned struct {
	t     *testing.T
	nodes []*RawNode
	disks []*MemoryStorage
	inbox [][]pb.Message
	kept  [][]pb.Entry // as handed out
	were  [][]pb.Entry // what they said then
}

func newPoisoned(t *testing.T, voters int) *poisoned {
	g := &poisoned{t: t, inbox: make([][]pb.Message, voters)}
	var ids []uint64
	for i := range voters {
		ids = append(ids, uint64(i+1))
	}
	for _, id := range ids {
		ms := NewMemoryStorage()
		require.NoError(t, ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: pb.ConfState{Voters: ids}}}))
		rn, err := NewRawNode(&Config{ID: id, Storage: ms})
		require.NoError(t, err)
		g.nodes, g.disks = append(g.nodes, rn), append(g.disks, ms)
	}
	return g
}

// keep remembers entries, and what they are: their data is the host's to keep too.
func (g *poisoned) keep(ents []pb.Entry) {
	if len(ents) == 0 {
		return
	}
	was := make([]pb.Entry, len(ents))
	for i, e := range ents {
		e.Data = bytes.Clone(e.Data)
		was[i] = e
	}
	g.kept, g.were = append(g.kept, ents), append(g.were, was)
	_ = append(ents, pb.Entry{Index: 1 << 50, Data: []byte("not the node's")})
}

// handle does what a Ready says, and reports whether there was one.
func (g *poisoned) handle(i int) bool {
	rn := g.nodes[i]
	if !rn.HasReady() {
		return false
	}
	rd := rn.Ready()
	g.keep(rd.Entries)
	g.keep(rd.CommittedEntries)
	require.NoError(g.t, g.disks[i].Append(rd.Entries))
	if !IsEmptyHardState(rd.HardState) {
		require.NoError(g.t, g.disks[i].SetHardState(rd.HardState))
	}
	for _, msgs := range [][]pb.Message{rd.Messages, rd.MessagesAfterAppend} {
		for j := range msgs {
			require.NotEqual(g.t, "poison", string(msgs[j].Context))
			g.keep(msgs[j].Entries)
			g.inbox[msgs[j].To-1] = append(g.inbox[msgs[j].To-1], msgs[j])
			// A message is the host's until it acknowledges.
			msgs[j] = pb.Message{Type: -1, To: 99, Entries: []pb.Entry{{Index: 1 << 50}}, Context: []byte("poison"), Session: 77, Features: 1 << 40}
		}
		_ = append(msgs, pb.Message{Type: -1, To: 99, Context: []byte("poison"), Round: 77})
	}
	for j := range rd.ReadStates {
		rd.ReadStates[j] = ReadState{Index: 1 << 50}
	}
	_ = append(rd.ReadStates, ReadState{Index: 1 << 50, RequestCtx: []byte("poison")})
	_ = append(rd.Refusals, Refusal{By: 99})
	require.NoError(g.t, rn.Advance(rd))
	return true
}

func (g *poisoned) settle() {
	busy := true
	for n := 0; busy; n++ {
		require.Less(g.t, n, 1000, "the group never comes to rest")
		busy = false
		for i := range g.nodes {
			in := g.inbox[i]
			g.inbox[i] = nil
			for _, m := range in {
				require.NoError(g.t, g.nodes[i].Step(m))
			}
			for n := 0; g.handle(i); n++ {
				require.Less(g.t, n, 1000, "a node never comes to rest")
				busy = true
			}
		}
	}
}

// What a host may keep, entries and their data, is never written again, whatever it
// does to what it was lent; and what it was lent does not come back with what it wrote.
func TestNothingKeptIsOverwritten(t *testing.T) {
	for _, voters := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(voters, " voters"), func(t *testing.T) {
			g := newPoisoned(t, voters)
			for round := range 200 {
				lead := round / 50 % voters // a new term now and then
				if round%50 == 0 && g.nodes[lead].BasicStatus().RaftState != StateLeader {
					for i, rn := range g.nodes {
						for range 40 {
							if i != lead {
								break
							}
							rn.Tick()
						}
					}
					g.settle()
				}
				for _, rn := range g.nodes {
					for i := range 1 + round%7*round%70 {
						if rn.BasicStatus().RaftState != StateLeader {
							break
						}
						require.NoError(t, rn.Propose(fmt.Appendf(nil, "%d of round %d", i, round)))
					}
					_ = rn.ReadIndex([]byte("read")) // there may be no leader
					rn.Tick()
				}
				g.settle()
			}
			require.Equal(t, g.were, g.kept)
			applied := g.nodes[0].BasicStatus().Applied
			require.Greater(t, applied, uint64(2000))
			first, err := g.disks[0].Entries(2, applied+1, noLimit)
			require.NoError(t, err)
			for i, rn := range g.nodes {
				require.Equal(t, applied, rn.BasicStatus().Applied)
				ents, err := g.disks[i].Entries(2, applied+1, noLimit)
				require.NoError(t, err)
				require.Equal(t, first, ents)
			}
		})
	}
}
