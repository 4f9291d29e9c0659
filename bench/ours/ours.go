// Package ours is this repository's raft as a [core.Library].
package ours

import (
	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Library is the raft of this repository.
type Library struct{}

var _ core.Library[pb.Message] = Library{}

// Name returns "ours".
func (Library) Name() string { return "ours" }

// NewLog makes a host's log.
func (Library) NewLog(c core.LogConfig) core.Log { return newHostLog(c) }

// NewNode starts a replica.
func (Library) NewNode(c core.Config, log core.Log) (core.Node[pb.Message], error) {
	l := log.(*hostLog)
	rc := &raft.Config{
		ID: c.ID, Storage: l, Applied: c.Applied, ElectionTick: c.ElectionTick, HeartbeatTick: c.HeartbeatTick,
		SleepAfter:    c.SleepAfter,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256, DisableCheckQuorum: c.NoCheckQuorum,
	}
	if c.Lease {
		rc.ReadOnlyOption = raft.ReadOnlyLeaseBased
	}
	rn, err := raft.NewRawNode(rc)
	if err != nil {
		return nil, err
	}
	return &node{rn: rn, id: c.ID, log: l, pipelined: c.Pipelined}, nil
}

// Append returns an append message from replica 1 to replica 2.
func (Library) Append(prev uint64, n int, data []byte) pb.Message {
	m := pb.Message{Type: pb.MsgApp, From: 1, To: 2, Term: 1, Index: prev, Commit: prev, Entries: make([]pb.Entry, n)}
	if prev > 0 {
		m.LogTerm = 1
	}
	for i := range m.Entries {
		m.Entries[i] = pb.Entry{Term: 1, Index: prev + uint64(i) + 1, Data: data}
	}
	return m
}

// Marshal appends the bytes of m to dst.
func (Library) Marshal(dst []byte, m *pb.Message) ([]byte, error) {
	size, at := m.Size(), len(dst)
	if cap(dst)-at < size {
		dst = append(make([]byte, 0, at+size), dst...)
	}
	n, err := m.MarshalToSizedBuffer(dst[at : at+size])
	return dst[:at+n], err
}

// Unmarshal reads m, which is empty. The data of its entries stays in b, as a host has it that reads each message into
// a frame of its own.
func (Library) Unmarshal(b []byte, m *pb.Message) error { return m.UnmarshalAliased(b) }

// Committed computes as the core does: from arrays, one half after the other.
func (Library) Committed(halves [2][]uint64, acked [][]uint64) func(int) uint64 {
	scratch := make([]uint64, len(halves[0])+len(halves[1]))
	half := func(ids, acked []uint64) uint64 {
		into := scratch[:len(ids)]
		for i, id := range ids {
			into[i] = acked[id-1]
		}
		return quorum.CommittedIndex(into)
	}
	return func(i int) uint64 {
		index := half(halves[0], acked[i])
		if len(halves[1]) > 0 {
			index = min(index, half(halves[1], acked[i]))
		}
		return index
	}
}

// ballot is the answer of one voter.
type ballot uint8

const (
	granted ballot = iota + 1
	rejected
)

// Vote counts as the core does: ballots in an array.
func (Library) Vote(voters []uint64, answers [][]bool) func(int) bool {
	votes := make([][]ballot, len(answers))
	for i, all := range answers {
		for _, yes := range all {
			b := rejected
			if yes {
				b = granted
			}
			votes[i] = append(votes[i], b)
		}
	}
	return func(i int) bool {
		var count [rejected + 1]int
		for _, b := range votes[i] {
			count[b]++
		}
		return quorum.Tally(len(voters), count[granted], count[rejected]) == quorum.VoteWon
	}
}
