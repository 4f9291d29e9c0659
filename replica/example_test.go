package replica_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/transport"
)

// total is a state machine that adds up numbers.
type total struct{ n atomic.Uint64 }

func (t *total) Apply(commands []replica.Command) error {
	for i := range commands {
		commands[i].Result = t.n.Add(binary.LittleEndian.Uint64(commands[i].Data))
	}
	return nil
}

func (t *total) View() (replica.View, error) { return totalView(t.n.Load()), nil }

func (t *total) Restore(_ uint64, r io.Reader) error {
	var n uint64
	err := binary.Read(r, binary.LittleEndian, &n)
	t.n.Store(n)
	return err
}

type totalView uint64

func (v totalView) WriteTo(w io.Writer) (int64, error) {
	return 8, binary.Write(w, binary.LittleEndian, uint64(v))
}
func (v totalView) Close() error { return nil }

// Three replicas in one process, in memory: what is proposed on one can be read on
// another as soon as it is acknowledged.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	network := transport.NewNetwork()
	defer network.Close()

	peers := []raft.Peer{{ID: 1}, {ID: 2}, {ID: 3}}
	var replicas []*replica.Replica
	var machines []*total
	for _, p := range peers {
		wire, err := network.Node(p.ID).Group(1)
		if err != nil {
			log.Fatal(err)
		}
		machine := &total{}
		r, err := replica.Start(replica.Config{
			ID: p.ID, Bootstrap: peers, StateMachine: machine, Transport: wire,
			Storage:     rafttest.Memory(raft.NewMemoryStorage()), // on disk: storage/pebblestore
			SnapshotDir: filepath.Join(dir, fmt.Sprint(p.ID)),
		})
		if err != nil {
			log.Fatal(err)
		}
		defer r.Stop(context.Background())
		replicas, machines = append(replicas, r), append(machines, machine)
	}

	ctx := context.Background()
	result, err := replicas[0].Propose(ctx, binary.LittleEndian.AppendUint64(nil, 42))
	fmt.Println(result, err)
	if err := replicas[1].Read(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(machines[1].n.Load())
	// Output:
	// 42 <nil>
	// 42
}
