package repair_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/repair"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/transport"
)

// A group of one becomes one of three with a spare, and looks after itself from then on.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	network := transport.NewNetwork()
	defer network.Close()
	var all []*replica.Replica
	for id := uint64(1); id <= 4; id++ {
		wire, err := network.Node(id).Group(1)
		if err != nil {
			log.Fatal(err)
		}
		c := replica.Config{
			ID: id, StateMachine: nothing{}, Transport: wire, TickInterval: 50 * time.Millisecond,
			Storage: rafttest.Memory(raft.NewMemoryStorage()), SnapshotDir: filepath.Join(dir, fmt.Sprint(id)),
		}
		if id == 1 {
			c.Bootstrap = []raft.Peer{{ID: 1}}
		}
		r, err := replica.Start(c)
		if err != nil {
			log.Fatal(err)
		}
		defer r.Stop(context.Background())
		all = append(all, r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := exampleMembership(ctx, all[0]); err != nil {
		log.Fatal(err)
	}
	for _, r := range all {
		if err := exampleRepair(ctx, r); err != nil {
			log.Fatal(err)
		}
	}
	// Output: MembershipReached
}

func exampleMembership(ctx context.Context, r *replica.Replica) error {
	outcome, err := r.SetMembership(ctx, pb.Membership{
		Voters:   []pb.Member{{ID: 1}, {ID: 2}, {ID: 3}}, // with their addresses as Context
		Learners: []pb.Member{{ID: 4}},
	})
	var target *replica.TargetError
	if errors.As(err, &target) { // it stands: wait again with AwaitMembership, or cancel it
		return fmt.Errorf("no outcome yet of target %d: %w", target.Version, err)
	} else if err != nil { // it was refused
		return err
	}
	fmt.Println(outcome.Result) // reached; or aborted, with a Reason; or superseded by another
	return nil
}

func exampleRepair(ctx context.Context, r *replica.Replica) error {
	supervisor, err := repair.New(repair.Config{
		Group:  repair.Of(r),
		Policy: repair.Policy{Learners: true, After: 10 * time.Minute}, // any learner is a spare
	})
	if err != nil {
		return err
	}
	go supervisor.Run(ctx)
	return nil
}
