package raft_test

import (
	"fmt"

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
