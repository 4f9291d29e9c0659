// Package replica is a host for one member of a raft group: the loop around a
// raft.RawNode that persists, sends and applies, with all of it overlapping, in
// the order that the node's contract demands (docs/host-contract.md).
//
// What is yours comes in as interfaces: a Storage for the log, a Transport for
// messages and snapshots, a StateMachine. What you get is a Replica:
//
//	r, err := replica.Start(replica.Config{
//		ID: 1, Bootstrap: []raft.Peer{{ID: 1, Context: []byte("10.0.0.1:7000")}},
//		Storage: storage, Transport: transport, StateMachine: machine, SnapshotDir: dir,
//	})
//	...
//	result, err := r.Propose(ctx, command) // what the state machine said
//	err = r.Read(ctx)                      // then read the state machine: linearizable
//
// # Goroutines
//
// There are three, and three things to do. The loop owns the node and never waits for a disk, the
// network or the state machine. Readys are written one after the other, and then what rests on
// them is sent; those that wait together share a sync. Committed commands are handed to the state
// machine, and reads served. Each is done by one goroutine at a time, and by no particular one:
// whoever took a Ready goes on and writes it, unless somebody writes already. Snapshots are
// written and sent by goroutines of their own. Ticks come from the monotonic clock and go on
// while the disk stands still, so that a leader with a stalled disk hands over.
//
// While a leader writes, proposals gather for the next write, and what would tell of a commit
// alone goes with the append of what its callers propose next. There is no timer: a proposal that
// comes alone does not wait, nor does a commit after which nobody proposes.
//
// # Outcomes
//
// An error of Propose or ProposeConfChange matches ErrNotApplied if the command
// is certain not to have taken effect, now or later, so that it may be tried
// again; otherwise it matches ErrAmbiguous: it may have taken effect, may do so
// later, or never. There is no third kind. A call waits until there is an outcome or
// its context is done, so give it one that ends: on a member that was removed there
// may never be a leader again.
//
// # Commands in the log
//
// A command is stored behind a header of 20 bytes that says who proposed it.
// Entries without one, as in a log that another host wrote, are applied whole.
//
// # Addresses
//
// The context of a member in the replicated configuration is its address, and
// is handed to Transport.SetPeer whenever it changes, on every member.
// Config.Peers helps a server that does not have a configuration yet.
//
// # Leaving
//
// A replica that was removed says so in an event and in its Status, and stops by
// itself if Config.StopWhenRemoved is set. docs/embedding.md says when it is sure.
package replica
