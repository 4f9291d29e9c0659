package raft_test

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

type transport struct{}

func (transport) send([]pb.Message) {}

type stateMachine struct{ value []byte }

func (s *stateMachine) apply(data []byte) { s.value = data }

func save(storage *raft.MemoryStorage, rd raft.Ready) error {
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := storage.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
	}
	if err := storage.Append(rd.Entries); err != nil {
		return err
	}
	if raft.IsEmptyHardState(rd.HardState) {
		return nil
	}
	return storage.SetHardState(rd.HardState)
}

// step does what one Ready asks for.
func step(node *raft.RawNode, storage *raft.MemoryStorage, net transport, machine *stateMachine) error {
	for node.HasReady() {
		rd := node.Ready()
		net.send(rd.Messages)
		if err := save(storage, rd); err != nil { // snapshot, entries, hard state: one atomic, synced write
			return err
		}
		net.send(rd.MessagesAfterAppend) // votes and acknowledgements: only once the write is durable
		for _, e := range rd.CommittedEntries {
			if e.Type == pb.EntryNormal {
				machine.apply(e.Data)
			} else if cc, err := pb.UnmarshalConfChange(e); err == nil {
				node.ApplyConfChange(cc)
			}
		}
		if err := node.Advance(rd); err != nil {
			return err
		}
	}
	return nil
}

// The whole of a host's loop, for a group of one.
func ExampleRawNode() {
	storage, machine := raft.NewMemoryStorage(), &stateMachine{}
	node, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: storage})
	if err != nil {
		fmt.Println(err)
		return
	}
	do := func(err error) {
		if err == nil {
			err = step(node, storage, transport{}, machine)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	do(node.Bootstrap([]raft.Peer{{ID: 1}}))
	do(node.Campaign())
	do(node.Propose([]byte("hello")))
	fmt.Println(node.BasicStatus().RaftState, string(machine.value))
	// Output: StateLeader hello
}

// swap asks for the present members, with one server in the place of another.
func swap(node *raft.RawNode, old uint64, replacement pb.Member) pb.Membership {
	status := node.Status()
	m := pb.MembershipOf(status.Config.ConfState())
	m.Voters = slices.DeleteFunc(m.Voters, func(v pb.Member) bool { return v.ID == old })
	m.Voters = append(m.Voters, replacement)
	m.Expected = &status.ConfigIndex // refused if somebody else has changed the members since
	return m
}

// look says what is ahead, before anything is proposed.
func look(node *raft.RawNode, m pb.Membership) error {
	check, err := node.CheckMembership(m) // the leader's word
	if err != nil {
		return err
	}
	for _, s := range check.Steps {
		fmt.Println(s.Step)
	}
	fmt.Println(check.During.Failures, "of the voters may fail meanwhile")
	for _, o := range check.Obstacles {
		fmt.Println("but", o)
	}
	return check.Err // with what the proposal would be refused
}

// One server takes the place of another, here in a group of one. The leader does the rest.
func ExampleRawNode_ProposeMembership() {
	storage, machine := raft.NewMemoryStorage(), &stateMachine{}
	node, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: storage})
	if err != nil {
		fmt.Println(err)
		return
	}
	do := func(err error) {
		if err == nil {
			err = step(node, storage, transport{}, machine)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	do(node.Bootstrap([]raft.Peer{{ID: 1}}))
	do(node.Campaign())
	m := swap(node, 1, pb.Member{ID: 2, Context: []byte("10.0.0.2:7000")})
	do(look(node, m))
	do(node.ProposeMembership(m))
	fmt.Println("now:", node.Status().MembershipStep)
	// Output:
	// add learner (2): "l2"
	// catch up (2)
	// change voters (2): "v2"
	// change voters (1): "r1"
	// 0 of the voters may fail meanwhile
	// now: catch up (2)
}

// Explain answers in plain words what an operator asks at night.
func ExampleRawNode_Explain() {
	node, err := raft.NewRawNode(&raft.Config{ID: 4, Storage: raft.NewMemoryStorage()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range node.Explain() {
		fmt.Println(e)
	}
	// Output: the node knows no members yet and waits for a leader to contact it
}

// Validate reports every fault at once.
func ExampleConfig_Validate() {
	fmt.Println((&raft.Config{ElectionTick: 1}).Validate())
	// Output:
	// raft: invalid config: ID must not be 0
	// Storage must be set
	// ElectionTick (1) must exceed HeartbeatTick (1)
}
