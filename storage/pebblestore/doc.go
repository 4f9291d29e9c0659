// Package pebblestore keeps the logs of any number of Raft groups durably, in one
// Pebble store (github.com/cockroachdb/pebble) on one directory.
//
// [Open] opens the directory as an [Engine], [Engine.Group] returns the [Storage]
// of one group: a raft.Storage with the writes of a host. A host saves each Ready
// with [Storage.Save] before it sends the Ready's MessagesAfterAppend, and the
// configuration that ApplyConfChange returned with [Storage.SetConfState]. The
// state machine keeps its own snapshots; [Storage.CreateSnapshot] notes that there
// is one and how to find it, [Storage.Compact] drops the log that it covers.
//
// # Atomic, durable, shared
//
// A Save is one Pebble batch: snapshot, entries, what they truncate, and hard state
// are there after a crash together or not at all. With MustSync it returns once
// the batch and all before it, of every group, are on the disk; groups that wait at
// the same time share one sync. All other writes are in the same order in the same
// log, and become durable with the next Save that is synced. So a crash of the
// machine or the process loses, of each group, some of its newest writes that no
// synced Save followed, and never one without those after it.
//
// # Keys
//
// All numbers are big-endian, so that records sort. A value is the CRC-32C of its
// key and payload, and the payload.
//
//	00 'i'                  format version, cluster ID, node ID
//	01 group 01             index and term of the entry before the first
//	01 group 02             HardState
//	01 group 03             ConfState, after the index that it counts as being of
//	01 group 04             Snapshot
//	01 group 05 index       a term begins here
//	01 group 06 index       a configuration entry is here
//	01 group 07 index       Entry
//
// Where terms begin, the hard state and the configuration are kept in memory, a few
// hundred bytes for a group, so that only entries and snapshots are read from the
// disk, and of the entries only those that the cache does not hold. Opening a group
// reads its few records and its last entry.
//
// # Damage
//
// Everything that is read is checked: Pebble's blocks, each record's checksum,
// which is of its place too, and that each entry is of the term that the log has
// there. Damage is a [CorruptionError] that names the group and the index, or the
// file. It is not repaired: replace the node. [Storage.Verify] looks for it.
//
// A log that was torn by a crash ends in damage, too, and there the damage is
// dropped, since nothing in it was acknowledged. Pebble tells the one from the other
// only roughly, so Open looks first: if any later batch shows that the damaged part
// had been synced, the log is corrupt and stays as it is. What cannot be told is
// damage to the very last batch that was synced before a crash, with nothing
// written after it, and to the last record of Pebble's manifest. After Close there
// is no such batch.
//
// # When the disk fails
//
// The first write, sync, creation or renaming of a file that fails ends the Engine,
// for all groups: the call that needed it and all later ones return a
// [FailedError], which matches the cause, such as syscall.ENOSPC or syscall.EIO.
// Close then still frees the directory, and opening it again finds what a crash
// would have left. Nothing is tried again before, because a disk that failed a sync
// may report success for what it lost.
//
// Pebble itself ends the process, or panics, when its log cannot be written. It is
// not told of the failure: from then on its writes go nowhere and succeed, and the
// Engine, which knows, returns the error; package diskguard, which does this, is there
// for other stores too. So the process lives. Exceptions are
// what Pebble does on contradictions within its own memory, which may panic on one
// of its goroutines, and a disk that neither fails nor answers: Save then waits for
// as long as the disk does. A node that ticks meanwhile hands over leadership.
//
// The directory must not be deleted, copied while it is open, or shared with another
// process; a second Open is refused with [ErrLocked].
package pebblestore
