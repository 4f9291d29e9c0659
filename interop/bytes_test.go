package interop

import (
	"testing"

	"github.com/quorate-raft/raft/interop/etcd"
	"github.com/quorate-raft/raft/interop/wire"
)

// Every record means the same to etcd v3.6 as to us.
func TestBytes(t *testing.T) { wire.TestBytes(t, etcd.Peer) }

// Changes of configuration are made, named and compared as etcd does it.
func TestConfChanges(t *testing.T) { wire.TestConfChanges(t, etcd.Peer) }
