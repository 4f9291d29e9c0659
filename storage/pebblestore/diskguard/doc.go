// Package diskguard keeps a process alive whose disk fails under Pebble
// (github.com/cockroachdb/pebble).
//
// Pebble answers a failed write of its log, or of its manifest, with a panic or by
// ending the process. An [FS] stands between it and the file system. It remembers the
// first write, sync, creation or renaming that fails, and tells Pebble of none: from
// then on it takes every write, reports success and does nothing. What is on the disk
// stays as at the failure, which is what a crash would have left, and nothing is tried
// again, because after a failed sync the disk may report success for what it lost.
//
// So Pebble is deceived, and whoever owns the store must not be: after every
// operation of Pebble's, and before its outcome is believed or told to anybody, ask
// [FS.Failure]. That holds for reads as well, since what a read finds, or does not
// find, may be of a write that went nowhere. Once there is a failure it is the answer to
// everything, until the store is closed and the directory opened anew, with a new FS.
//
// To guard a store, all that Pebble has to say must come here: FS, [FS.Logger] and
// [FS.BackgroundError] go into its options, as the example shows.
//
// One thing it adds. Pebble makes a manifest and the file that says that it counts, its
// marker, and then syncs the directory, once for both; a loss of power before that may leave
// the marker alone, after which Pebble does not open the store any more. An FS syncs the
// directory before a marker is made, too.
//
// Without a DataCorruption of one's own, Pebble ends the process, that is, it fails
// the FS, where a read finds a corrupt file. What remains are panics of Pebble's: on the
// goroutine of a caller, who recovers and calls [FS.Fail], or on one of its own, on
// contradictions within its memory, which nobody can help. And a disk that neither
// fails nor answers is waited for.
package diskguard
