// Package store is the state machine of the replicated key-value server: keys and
// values on disk, in Pebble (github.com/cockroachdb/pebble), with what clients may
// ask of them. It is a replica.Durable; package replica applies the log to it.
//
// Commands are made by [EncodePut], [EncodeDelete], [EncodeCompareAndSet],
// [EncodeRegister], [EncodeNewMember], [EncodeUseMember] and [EncodeRetireMembers],
// proposed as they are, and end in a [Result] on the server that proposed them. Reads, [Store.Get], [Store.Range] and [Store.Watch], are of what is
// applied on this server; how fresh that is, is for the caller to settle first, with
// replica.Replica.Read.
//
// # The same state everywhere
//
// What a command does and returns depends on the commands before it and on nothing
// else: no clock, no chance, no option, no order of a map. A command that does not
// decode, from a newer version or a client gone mad, is refused by all servers alike
// with [ErrMalformed]. Limits are constants, since a server with another limit would
// come to another state. Two stores that applied the same commands write the same
// bytes as their View.
//
// A key has the revision that wrote it: the log index of the command.
//
// # Once, however often it is tried
//
// A client that did not hear how its request ended does not know whether it was
// applied, and cannot simply try again. So it registers, once, for an ID, numbers its
// requests, and tries again with the same [RequestID] (dissertation §6.3). The state
// has, for each client, the number and Result of its last request: a retry gets that
// Result and changes nothing. Since a client waits for one request before it makes
// the next, the last is all that it can ask for; who wants several at a time
// registers several times.
//
// At most [MaxClients] are remembered. When one more registers, the one whose last
// request has the lowest log index is forgotten, and from then on refused with
// [ErrUnknownClient] rather than applied twice: it has to register anew, and look
// what became of its last request. Retries do not count as requests, nor do requests
// that were refused without a look at the key.
//
// # Servers have numbers too
//
// A server that joins needs an ID that no server ever had, since others may still take
// messages of the old one for its own. The state has the highest ID that was ever given or
// retired: those above it are free, those up to it nobody's but of whom they were given to.
//
// A server that did not hear which ID it was given asks again, and must get the same one.
// So it comes with a claim, a random number that it has on its disk before it asks. The IDs
// that were given are open, each with its claim; one that was given without, for a server
// that is started later, becomes the first claim's that wants it. [EncodeNewMember] gives
// an ID, [EncodeUseMember] looks whose it is before it becomes that of a member, and
// [EncodeRetireMembers] closes it before the member is removed. [MaxOpenMembers] are open
// at most.
//
// # What is on disk
//
// Numbers are big-endian.
//
//	00                          format version, generation, applied index, cluster ID, node ID
//	01 generation 'c' client    log index, number, status and revision of its last request
//	01 generation 'k' key       revision, value
//	01 generation 'm'           highest ID of a member that was given or retired, if there is one
//	01 generation 'o' ID        claim, of an open ID
//
// An Apply is one batch of Pebble's, with the index, and is not synced: its log keeps
// batches in order, so that a crash leaves the state as of an earlier command with
// that command's index. Sync writes a record into the log and waits for it, and so for
// all before it.
//
// A Restore writes into the next generation and leaves the state alone. Its last batch
// names that generation, with the new index, and deletes the old one: after a crash
// there is the one state or the other. What is left of an unfinished generation goes
// when the Store is opened.
//
// A directory belongs to one server of one cluster, by Options, and is of no other's use:
// [Open] refuses it with an [IdentityError], and with [ErrLocked] while it is open
// already. [Rebrand] gives it to another cluster.
//
// # When the disk fails
//
// The first write, sync, creation or renaming of a file that fails ends the Store, not
// the process: the call that needed it and all later ones, reads and Watch too, return
// an [ErrFailed], which matches the cause, such as syscall.ENOSPC or syscall.EIO. A
// replica.Replica stops at it. Nothing is tried again, because a disk that failed a sync
// may report success for what it lost. Close then still frees the directory, and opening
// it again finds what a crash would have left; what is missing is in the log and is
// applied again. How Pebble is kept from ending the process, and what that cannot help
// with, is told in package diskguard.
package store
