package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"

	"github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/transport"
)

// file stands for where a host puts a snapshot that arrives.
type file struct{ bytes.Buffer }

func (f *file) Commit() error { return nil }
func (f *file) Abort()        {}

// Two nodes, with one group each, on one machine.
func Example() {
	open := func(id uint64) *transport.Transport {
		t, err := transport.New(transport.Config{ClusterID: 1, NodeID: id, Listen: "127.0.0.1:0"})
		if err != nil {
			log.Fatal(err)
		}
		return t
	}
	one, two := open(1), open(2)
	defer one.Close()
	defer two.Close()

	const group = 7
	arrived := make(chan *raftpb.Message, 1)
	received := new(file)
	receiver, err := two.Group(group)
	if err != nil {
		log.Fatal(err)
	}
	err = receiver.Start(
		func(m *raftpb.Message) { arrived <- m }, // a host passes it to Node.Step, from another goroutine
		func(peer uint64) {},                     // and this to ReportUnreachable
		func(from uint64, meta []byte) (interface {
			io.Writer
			Commit() error
			Abort()
		}, error) {
			fmt.Printf("node %d sends a snapshot: %s\n", from, meta)
			return received, nil
		})
	if err != nil {
		log.Fatal(err)
	}

	sender, err := one.Group(group)
	if err != nil {
		log.Fatal(err)
	}
	sender.SetPeer(2, two.Addr().String())
	sender.Send([]raftpb.Message{{Type: raftpb.MsgHeartbeat, From: 1, To: 2, Term: 3}})
	m := <-arrived
	fmt.Println(m.Type, "of term", m.Term)

	err = sender.SendSnapshot(context.Background(), 2, []byte("index 10"), bytes.NewBufferString("state"))
	fmt.Println("committed:", received.String(), err)
	// Output:
	// MsgHeartbeat of term 3
	// node 1 sends a snapshot: index 10
	// committed: state <nil>
}
