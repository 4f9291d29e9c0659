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
// apply, Advance), or an asynchronous one, until they are at rest, and are compared. So each step of a
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
// heartbeats that left after it came, and at once, with leases, only while a quorum
// has promised to refuse votes. Package hunt shows that known bugs are found
// with all rules on.
//
// # Writes, applications and crashes
//
// A part of the runs has asynchronous hosts: a step only hands out, to ours in
// Readys that stay under way, to theirs with AsyncStorageWrites, and steps of their
// own finish what the same earlier steps handed out on both sides: writes, then the
// messages that wait for them, or applications. Messages that wait are compared when
// they are handed out, and are let go together. A restart is a crash: of the writes
// under way some survive, the same on both disks; a commit index that was not synced
// may be lost, by hosts of both kinds, and what was applied past it. What leaves
// after a write is held to what is on the disk, and acknowledgements of an earlier
// life have to be refused.
//
// # Limits
//
// Each input is followed by a Ready, so what a host does with several at once is the
// simulator's; a leader's writes finish one step at a time. MaxSizePerMsg fits one
// entry or all. Storage does not fail. docs/differences.md says what else is not
// compared, and why.
package differential
