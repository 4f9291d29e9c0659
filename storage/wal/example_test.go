package wal_test

import (
	"fmt"
	"os"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/wal"
)

// A node of a group of one, with its log on a disk: it is elected, commits, and
// finds its log again.
func Example() {
	dir, err := os.MkdirTemp("", "wal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 2 {
		if err := live(dir); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// nothing saved yet
	// term 2, "hello" is committed at 3
	// found a log up to 3, term 2
	// term 3, "hello" is committed at 5
}

// live is one life of the process.
func live(dir string) error {
	engine, err := wal.Open(dir, &wal.Options{ClusterID: 1, NodeID: 1})
	if err != nil {
		return err
	}
	defer engine.Close()
	storage, err := engine.Group(1)
	if err != nil {
		return err
	}
	hs, _, err := storage.InitialState()
	if err != nil {
		return err
	}
	if raft.IsEmptyHardState(hs) {
		fmt.Println("nothing saved yet")
		// A group begins as if with a snapshot that all its members have.
		first := pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1}, Index: 1}}}
		if err := storage.Save(raft.Ready{Snapshot: first, HardState: pb.HardState{Term: 1, Commit: 1}, MustSync: true}); err != nil {
			return err
		}
	} else {
		last, _ := storage.LastIndex()
		fmt.Printf("found a log up to %d, term %d\n", last, hs.Term)
	}

	// This state machine keeps nothing, so it begins with all that is committed.
	node, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: storage, Applied: max(1, hs.Commit)})
	if err != nil {
		return err
	}
	if err := node.Campaign(); err != nil {
		return err
	}
	proposed := false
	for node.HasReady() {
		rd := node.Ready()
		if err := storage.Save(rd); err != nil {
			return err
		}
		// Here messages would be sent, MessagesAfterAppend not before Save returned.
		for _, e := range rd.CommittedEntries {
			if len(e.Data) > 0 {
				fmt.Printf("term %d, %q is committed at %d\n", e.Term, e.Data, e.Index)
			}
		}
		if err := node.Advance(rd); err != nil {
			return err
		}
		if !proposed && node.BasicStatus().RaftState == raft.StateLeader {
			proposed = true
			if err := node.Propose([]byte("hello")); err != nil {
				return err
			}
		}
	}
	return nil
}
