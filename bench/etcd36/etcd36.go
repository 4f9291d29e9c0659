// Package etcd36 is go.etcd.io/raft/v3 v3.6 as a [core.Library].
package etcd36

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/quorum"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/bench/core"
)

// Library is etcd's raft v3.6.
type Library struct{}

var _ core.Library[pb.Message] = Library{}

// Name returns "etcd 3.6".
func (Library) Name() string { return "etcd 3.6" }

// NewLog makes a host's log.
func (Library) NewLog(c core.LogConfig) core.Log { return newHostLog(c) }

// NewNode starts a replica.
func (Library) NewNode(c core.Config, log core.Log) (core.Node[pb.Message], error) {
	l := log.(*hostLog)
	rc := &raft.Config{
		ID: c.ID, Storage: l, Applied: c.Applied, ElectionTick: c.ElectionTick, HeartbeatTick: max(c.HeartbeatTick, 1),
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256, PreVote: true, CheckQuorum: !c.NoCheckQuorum,
		AsyncStorageWrites: c.Pipelined, Logger: core.Quiet{},
	}
	if c.Lease {
		rc.ReadOnlyOption = raft.ReadOnlyLeaseBased
	}
	rn, err := raft.NewRawNode(rc)
	if err != nil {
		return nil, err
	}
	return &node{rn: rn, id: c.ID, log: l, async: c.Pipelined}, nil
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

// Unmarshal reads m, which is empty.
func (Library) Unmarshal(b []byte, m *pb.Message) error { return m.Unmarshal(b) }

// acks is what the voters acknowledged, by ID, as the core keeps it.
type acks map[uint64]quorum.Index

func (a acks) AckedIndex(id uint64) (quorum.Index, bool) {
	index, ok := a[id]
	return index, ok
}

// Committed computes as the core does, from maps.
func (Library) Committed(halves [2][]uint64, acked [][]uint64) func(int) uint64 {
	var voters quorum.JointConfig
	for h, ids := range halves {
		voters[h] = majority(ids)
	}
	all := make([]acks, len(acked))
	for i := range acked {
		all[i] = acks{}
		for j, index := range acked[i] {
			all[i][uint64(j+1)] = quorum.Index(index)
		}
	}
	return func(i int) uint64 { return uint64(voters.CommittedIndex(all[i])) }
}

func majority(ids []uint64) quorum.MajorityConfig {
	m := quorum.MajorityConfig{}
	for _, id := range ids {
		m[id] = struct{}{}
	}
	return m
}

// Vote counts as the core does, from maps.
func (Library) Vote(voters []uint64, granted [][]bool) func(int) bool {
	config := quorum.JointConfig{majority(voters), nil}
	all := make([]map[uint64]bool, len(granted))
	for i := range granted {
		all[i] = make(map[uint64]bool)
		for j, yes := range granted[i] {
			all[i][uint64(j+1)] = yes
		}
	}
	return func(i int) bool { return config.VoteResult(all[i]) == quorum.VoteWon }
}
