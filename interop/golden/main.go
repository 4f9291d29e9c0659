// Command golden writes the golden file of etcd v3.6 into the testdata of raftpb. Run it in the directory of its module.
package main

import (
	"fmt"
	"os"

	"github.com/quorate-raft/raft/interop/etcd"
	"github.com/quorate-raft/raft/interop/wire"
)

func main() {
	file, err := wire.Golden(etcd.Peer)
	if err == nil {
		err = os.WriteFile("../raftpb/testdata/golden-"+etcd.Peer.Name()+".txt", file, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "golden:", err)
		os.Exit(1)
	}
}
