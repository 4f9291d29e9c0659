// Package wal keeps the logs of any number of Raft groups durably, in one log of its
// own in one directory. It needs nothing but the standard library, and takes about
// half the time for a synced write that storage/pebblestore takes, of which it has
// the functions, the promises and the kinds of errors: one is swapped for the other by
// the import, but for Options. The directories are not the same.
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
// A Save is part of one batch: snapshot, entries, what they truncate, and hard state
// are there after a crash together or not at all. With MustSync it returns once
// the batch and all before it, of every group, are on the disk. Whoever comes while
// no batch is being written writes what has come in; groups that wait at the same
// time share one write and one sync. Other writes wait in memory, in the
// same order, and go to the disk with the next that is synced, or once they are a
// megabyte. So a crash of the machine or the process loses, of each group, some of its
// newest writes that no synced Save followed, and never one without those after it.
//
// # Files
//
// The log is cut into segments, files of one size whose blocks are written before
// they are used: with zeros, in the background, or as a segment that nothing was needed
// of any more. A write to such blocks is the data alone and not the file system's
// journal. On Linux it goes past the operating system's cache and is durable when it
// returns, in one call.
//
// A segment begins with a block that has the format's version, the log's random ID, the
// segment's number, and whom the log is for. Batches follow, each of whole
// blocks of 4096 bytes, so that no write touches a block that was synced before. Open
// alone writes the last batch once more, the same bytes, to know that it is durable:
//
//	batch     checksum of the header, checksum of the records, their size, position,
//	          segment number, checksum of the header of the batch before
//	record    checksum of the rest, size, group, kind, body
//
// Positions count the bytes of batches since the log was new. Position, number and
// ID are checked, so that nothing of a former life of a file, or of another
// file, passes for a batch. Checksums are CRC-32C, numbers little-endian.
//
// Of each group terms, hard state, configuration and the positions of its entries are
// in memory, sixteen bytes for an entry and a few hundred for a group. Entries that the cache
// does not hold and snapshots are read from the disk. Open reads the whole log.
//
// Blocks are whole however little is in them: a writer alone takes 4096 bytes for
// each synced write. So does the disk.
//
// # Space
//
// The oldest segment is given up when no group needs anything of it. What is left of
// a group then is its state, a record of which goes to the end of the log. Once the log
// is longer than Options.LogBytes, and than twice what is needed of it, entries and
// snapshots in the oldest segment are moved to the end too: a group that is idle,
// or does not compact, does not keep the segments of the others.
//
// # Damage
//
// Everything that is read is checked: the batches when the log is opened, each
// record again when it is read, and that each entry is of the index and the term that the
// log has there. Damage is a [CorruptionError] that names the file and offset, and group
// and index where they are known. It is not repaired: replace the node.
// [Storage.Verify] looks for it.
//
// A batch is written only once the one before it is durable. So a batch that a crash
// tore is the last thing in the log, was never acknowledged, and is dropped. If anything
// of a later batch is found after damage, what is damaged had been synced: the log
// is corrupt and stays as it is. What cannot be told is damage to the
// very last batch that was synced before a crash, with nothing written after it. After
// Open and Close there is no such batch: they write one more. Nor can it be told that
// the newest files are missing, all from some number on.
//
// # When the disk fails
//
// The first write, sync, creation or renaming of a file that fails ends the Engine,
// for all groups: the call that needed it and all later ones return a
// [FailedError], which matches the cause, such as syscall.ENOSPC or syscall.EIO.
// Close then still frees the directory, and opening it again finds what a crash
// would have left. Nothing is tried again before, because a disk that failed a sync
// may report success for what it lost. A disk that neither fails nor answers is waited
// for. A node that ticks meanwhile hands over leadership.
//
// The directory must not be deleted, copied while it is open, or shared with another
// process; a second Open is refused with [ErrLocked], on Unix systems and Windows.
package wal
