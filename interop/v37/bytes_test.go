package v37

import (
	"testing"

	"github.com/quorate-raft/raft/interop/v37/etcd"
	"github.com/quorate-raft/raft/interop/wire"
)

// Every record means the same to etcd v3.7 as to us.
func TestBytes(t *testing.T) { wire.TestBytes(t, etcd.Peer) }

// Changes of configuration are made, named and compared as etcd does it.
func TestConfChanges(t *testing.T) { wire.TestConfChanges(t, etcd.Peer) }

// Bytes that one side is known to refuse hide no other difference.
func TestDecoding(t *testing.T) { wire.TestDecoding(t, etcd.Peer) }

// Any bytes are the same to both, or one side refuses them for a reason that is listed.
func FuzzDecode(f *testing.F) { wire.FuzzDecode(f, etcd.Peer) }

// Any text is the same changes to both.
func FuzzConfChangesFromString(f *testing.F) { wire.FuzzConfChangesFromString(f, etcd.Peer) }

// The bytes that raftpb's tests read are those that this peer writes.
func TestGoldenFileIsCurrent(t *testing.T) {
	wire.TestGolden(t, etcd.Peer, "../../raftpb/testdata/golden-"+etcd.Peer.Name()+".txt")
}
