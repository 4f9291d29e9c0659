// Package hook is what a node shows of the dialogue with its host to package
// rafttest, which checks the host by it.
package hook

import pb "github.com/quorate-raft/raft/raftpb"

// Host is told, by each node that is made from a Config that it watches, what
// the node handed out and what the host answered. The calls come from within the
// node's methods, by the goroutine that drives it, and must not call the node.
//
// R, T and S are raft.Ready, raft.AppendToken and raft.Storage, which this
// package cannot name.
type Host[R, T, S any] interface {
	// Started is told of every attempt to make a node; err is why it failed.
	Started(s Start[S], err error)
	// Ready is told of every Ready that is not empty.
	Ready(instance uint64, rd R)
	// Advance is told of every Advance, before AckAppend and AckApply are told
	// of what it consists of.
	Advance(instance uint64, token T)
	// AckAppend and AckApply are told what the host acknowledged and what the
	// node answered.
	AckAppend(instance uint64, token T, err error)
	AckApply(instance uint64, index uint64, err error)
	// ApplyConfChange is told which change the host made effective.
	ApplyConfChange(instance uint64, c ConfChange)
}

// Start is how a node began.
type Start[S any] struct {
	// Instance tells this life of the node from others; 0 if it failed.
	Instance uint64
	Storage  S
	// Applied is that of the Config.
	Applied uint64
	// Conf is the configuration in effect, with OnAppend the one of what is applied.
	Conf pb.ConfState
	// OnAppend says that changes of configuration take effect when they are appended.
	OnAppend bool
}

// ConfChange is a change of configuration that took effect.
type ConfChange struct {
	// Index is that of the entry for which the node took it, 0 if none was due.
	Index  uint64
	Change pb.ConfChangeV2
	// Conf is what the host was given back.
	Conf pb.ConfState
}
