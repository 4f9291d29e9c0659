// Package differential feeds one random stream of inputs to nodes of this
// module's core and of go.etcd.io/raft/v3 and compares what comes of it. Every
// intended difference is a named rule (Rules), bounded here and described in
// docs/differences.md; anything else that differs fails.
//
// # Twins
//
// A run is a group of one to six members. Each member is a twin: a node of ours
// and one of theirs with the same configuration, each on a disk of its own. A
// step gives one input to one twin: a tick, a message, a proposal, a change of
// configuration, a read, a transfer, a report, a snapshot with compaction, or a
// restart. Both halves then do what a synchronous host does (persist, send,
// apply, Advance) until they are at rest, and are compared. So each step of a
// run is compared, and what one twin sends is another's next input.
//
// Both halves of a receiver get the same message. Each member has a voice for
// the whole run: what goes on the network is what its half of ours sends, or
// what its half of theirs sends. A half of theirs gets a message of ours without
// the fields that only ours knows (as its decoder would); a half of ours hears an
// etcd peer where the voice is theirs. Only the contexts of heartbeats and of
// forwarded reads are each implementation's own words: each half hears its own.
//
// Election timeouts are drawn by ours from the seed and given to theirs after each
// step, through its unexported field (peek.go): theirs draws from a global source.
//
// # What is compared
//
// After each step: errors of the input; term, vote, commit, role, leader,
// transfer, the log's end; entries persisted, entries handed out to be applied,
// hard state on disk, MustSync; the configuration; answers to reads; the timers;
// and on leaders, of each peer: match, next, state, pending snapshot, activity,
// whether it is paused, appends in flight. Messages are compared as multisets for
// each receiver and type, whole but for what the rules name. All that ours and
// theirs decide at different times inside a step (when a Ready is asked for, or at
// once) falls together at its end.
//
// # Rules
//
// A rule lets named fields differ under a condition on the input and the states
// before and after; where it concerns what a node does later, it sets the field
// of theirs to that of ours (flow control, timers), or, where logs or roles part,
// starts both halves anew from the disk of the voice. A rule whose difference
// protects safety also demands it: a leader that is removed has to stay, a refused
// vote has to name the commit, a change before a commit in the term has to be
// refused. What a rule accepts of ours alone it checks against what the driver
// knows by itself: a read is answered early only if a quorum has answered
// heartbeats that left after it came. Package hunt shows that known bugs are found
// with all rules on.
//
// # Limits
//
// Hosts are synchronous, so bugs in overlapping writes are the simulator's; there
// are no leases, which rest on promises that etcd does not make; no lost
// writes; MaxInflightBytes is off, since each side counts other bytes.
package differential
