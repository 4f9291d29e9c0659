package server

import (
	"strings"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/transport"
)

// A member's context in the replicated configuration is its addresses: that for
// servers, and after a blank that for clients, if it has told that one yet.

func encodeContext(a api.Addresses) string {
	if a.Client == "" {
		return a.Peer
	}
	return a.Peer + " " + a.Client
}

func decodeContext(context string) (a api.Addresses) {
	a.Peer, a.Client, _ = strings.Cut(context, " ")
	return a
}

// routes is the transport as the replica sees it, which hands it contexts where the
// transport wants addresses.
type routes struct {
	*transport.Group
	override map[uint64]string
}

var _ replica.Transport = routes{}

func (r routes) SetPeer(id uint64, context string) {
	address := decodeContext(context).Peer
	if other, ok := r.override[id]; ok {
		address = other
	}
	r.Group.SetPeer(id, address)
}
