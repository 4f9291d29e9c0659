// Command v37 takes samples of etcd's raft v3.7, which has the module path of v3.6 and so needs a module of its own.
package main

import (
	"fmt"
	"os"

	"github.com/quorate-raft/raft/bench/child"
	"github.com/quorate-raft/raft/bench/v37/etcd37"
)

func main() {
	if err := child.Main(os.Stdout, os.Args[1:], child.Of(etcd37.Library{})); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
