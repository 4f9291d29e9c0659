package main

import (
	"github.com/quorate-raft/raft/bench/child"
	"github.com/quorate-raft/raft/bench/etcd36"
	"github.com/quorate-raft/raft/bench/floor"
	"github.com/quorate-raft/raft/bench/ours"
)

// libraries are those that this program samples itself.
func libraries() []child.Library {
	return []child.Library{
		child.Of(ours.Library{}),
		child.Of(etcd36.Library{}),
		child.Of(floor.Library{}, floor.Rows...),
	}
}
