package raft_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// hashReady adds all of rd to h, in its order.
func hashReady(h hash.Hash, id uint64, rd raft.Ready) {
	number := func(n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }
	bytes := func(m interface{ Marshal() ([]byte, error) }) {
		b, err := m.Marshal()
		if err != nil {
			panic(err)
		}
		number(uint64(len(b)))
		h.Write(b)
	}
	number(id)
	if rd.SoftState != nil {
		fmt.Fprint(h, *rd.SoftState)
	}
	bytes(&rd.HardState)
	bytes(&rd.Snapshot)
	for _, ents := range [][]pb.Entry{rd.Entries, rd.CommittedEntries} {
		number(uint64(len(ents)))
		for i := range ents {
			bytes(&ents[i])
		}
	}
	for _, msgs := range [][]pb.Message{rd.Messages, rd.MessagesAfterAppend} {
		number(uint64(len(msgs)))
		for i := range msgs {
			bytes(&msgs[i])
		}
	}
	fmt.Fprint(h, rd.ReadStates, rd.MustSync, rd.AppendToken())
}

// faultyRun is five nodes through lost messages, ticks out of step, restarts,
// changes of configuration, snapshots, transfers and reads, all drawn from seed.
// It returns the hash of all that the hosts were asked to do, and the highest
// index that was applied.
func faultyRun(seed uint64, steps int) ([32]byte, uint64, int) {
	rnd := rand.New(rand.NewPCG(seed, 99))
	h := sha256.New()
	changes := 0
	c := rafttest.NewCluster(5, seed)
	c.Observe = func(id uint64, rd raft.Ready) {
		hashReady(h, id, rd)
		for _, e := range rd.CommittedEntries {
			if e.Type != pb.EntryNormal {
				changes++
			}
		}
	}
	lossy := 0
	c.Drop = func(pb.Message) bool { return rnd.IntN(100) < lossy }
	for range steps {
		m := c.Nodes()[rnd.IntN(len(c.Nodes()))]
		leader := c.Leader()
		if leader == nil {
			leader = m
		}
		switch rnd.IntN(24) {
		case 0:
			c.Restart(m.ID)
		case 1:
			lossy = rnd.IntN(2) * rnd.IntN(60)
		case 2:
			_ = leader.TransferLeader(m.ID)
		case 3:
			_ = leader.ProposeConfChange(pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{
				{Type: pb.ConfChangeType(rnd.IntN(4)), NodeID: uint64(1 + rnd.IntN(5))},
				{Type: pb.ConfChangeAddNode, NodeID: m.ID},
			}[:1+rnd.IntN(2)]})
		case 4:
			if _, err := m.Storage.CreateSnapshot(m.AppliedIndex, &m.Conf, nil); err == nil {
				_ = m.Storage.Compact(m.AppliedIndex)
			}
		case 5, 6:
			_ = m.ReadIndex([]byte{byte(rnd.Uint32())})
		case 7, 8, 9:
			_ = m.Propose([]byte{byte(rnd.Uint32())})
		case 10, 11, 12, 13:
			_ = c.Deliver()
		case 14, 15:
			c.Handle(m.ID)
		default:
			for range 1 + rnd.IntN(3) {
				m.Tick()
			}
			c.Settle()
		}
	}
	applied := uint64(0)
	for _, m := range c.Nodes() {
		applied = max(applied, m.AppliedIndex)
	}
	return [32]byte(h.Sum(nil)), applied, changes
}

// The same configuration, random numbers and inputs give the same effects byte
// for byte: nothing observable depends on a clock, an address or the order of a
// map. Every process orders its maps anew, and every range over one does.
func TestSameInputsSameEffects(t *testing.T) {
	changes := 0
	seen := map[[32]byte]bool{}
	for seed := range uint64(8) {
		first, applied, n := faultyRun(seed, 1500)
		require.Greater(t, applied, uint64(30), "nothing happened with seed %d", seed)
		changes += n
		for range 2 {
			again, _, _ := faultyRun(seed, 1500)
			require.Equal(t, first, again, "seed %d", seed)
		}
		require.False(t, seen[first], "two seeds, one run")
		seen[first] = true
	}
	require.Greater(t, changes, 20)
}
