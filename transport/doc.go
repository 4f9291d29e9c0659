// Package transport carries messages and snapshots between the nodes of raft
// groups, over TCP, with TLS if it is configured. One Transport serves all groups of
// a node. Network is its twin within a process, for tests.
//
// A host makes a Transport, and a Group for each raft group; it gives the group the
// addresses of its members (SetPeer), sends with Send and SendSnapshot, and gets what
// arrives through the callbacks of Start. Nothing that it sends is promised to
// arrive: a message that cannot be sent at once is dropped and its peer reported
// unreachable, as raft expects.
//
// # Lanes
//
// A node dials each of its peers for two lanes, and takes two from each:
//
//	control   heartbeats, votes, TimeoutNow, reads, hand-overs, and their answers
//	log       appends, their answers, proposals; and any message above 64 KiB
//	snapshot  one snapshot; a connection for each, made when it is sent
//
// On a slow link a heartbeat behind a megabyte of appends in one stream is seconds
// late, and the leader is deposed because it does its work. So what must not wait has
// a connection of its own, which the operating system serves beside the others. Raft
// does not need order between messages; within a lane there is order. A snapshot has
// a connection of its own, too, rather than all those to one peer sharing one: each
// has its own flow control and can break and go on alone.
//
// Connections carry messages in the dialer's direction only, so that no two nodes
// have to agree which of two connections stays. If a node connects again, the newer
// connection of a lane takes the place of the older.
//
// A peer that a group does not know is answered at the address that it told when it
// connected: a node that joins has to answer its leader before it knows the
// members. So is, by turns, one that is not found where the group says: a node that
// was down while others moved has to answer them before it learns where they are. A peer that
// was removed, and connects since it does not know that, is answered too, at the address
// that it had: somebody has to tell it.
//
// # Sending
//
// Send copies messages into a queue, without encoding them; a goroutine for each lane
// encodes what waits into one buffer and writes it with one call, so that messages
// share calls when there are many and never wait when there are few. A queue is
// bounded in messages and bytes for each Class.
//
// A lane that breaks is connected again at once, and then with a backoff that doubles
// from MinBackoff to MaxBackoff, with jitter. While a peer cannot be reached nothing
// waits for it. Both ends send a ping when they would else be silent for PingInterval,
// and give up a connection from which they have read nothing for PeerTimeout.
//
// # Bytes
//
// Numbers are big-endian. The dialer begins with a hello:
//
//	0   8  "QUORATE\n"
//	8   2  highest protocol version that it speaks: 1
//	10  2  lowest
//	12  1  lane: 0 control, 1 log, 2 snapshot
//	13  1  length of the address, n
//	14  2  zero
//	16  8  cluster ID
//	24  8  its node ID
//	32  8  node ID that it wants to reach
//	40  4  zero
//	44  4  CRC-32C of all else
//	48  n  address at which it listens; without a host, or with one like 0.0.0.0,
//	       on the host that it dials from
//
// The acceptor answers with a welcome. If it refuses, only the reason is set:
//
//	0   8  "QUORATE\n"
//	8   2  protocol version
//	10  1  0, or the reason of the refusal
//	11  1  zero
//	12  4  the largest message that it takes
//	16  8  its node ID
//	24  4  zero
//	28  4  CRC-32C of all before
//
// It does not answer what does not begin with the first eight bytes. Then frames
// follow, in both directions:
//
//	0   4  length of the payload
//	4   1  kind
//	5   8  group ID
//	13  4  CRC-32C of bytes 0 to 12 and of the payload
//	17     payload
//
// In the control and the log lane the dialer sends messages (kind 2, the payload is a
// raftpb.Message) and pings (1, empty), the acceptor only pings.
//
// In the snapshot lane the dialer sends the start (3: 16 random bytes that name the
// stream, 1 if it goes on else 0, meta), chunks (4: offset, bytes), the end (5: size,
// SHA-256 of the whole), and if it gives up, that (6). The acceptor sends
// acknowledgements (7: bytes taken by the sink, bytes received, window of 4 bytes) and
// the result (8: 0 for committed or a reason, text). The sender begins at the offset
// that the first acknowledgement has as received, and stays within the window of what
// was taken. After a break it dials again and starts with the same name; the receiver
// keeps the stream, and for a while the result, for SnapshotResume. The sink's Commit
// is called when size and checksum are right, and the sender is told after it.
//
// # Who is let in
//
// A connection must say hello within HandshakeTimeout, for the right cluster and node.
// At most MaxHandshakes connections may be at that; one more closes the oldest. Of a
// node there is one connection for a message lane, and 2·MaxSnapshotsIn for snapshots;
// of nodes there are MaxPeers.
//
// With TLS, both ends show a certificate of the configured CA that has the name of
// the node that each claims to be. TLS is 1.3, sessions are not resumed, and files are
// read again when they change. Without TLS whoever reaches the port is believed.
//
// A message must name the connection's node as its sender, unless it is of a kind that
// followers pass on, and this node as its receiver.
//
// # Memory
//
// A length is refused if it exceeds MaxFrameSize in a message lane, or 1 MiB outside
// the log lane, and else believed only as bytes arrive: a buffer never is more than
// 64 KiB larger than twice what was received, but for buffers that are used again.
// Decoding a message costs at most about ten times its bytes. A snapshot costs a
// window and a chunk (256 KiB) at either end. A queue costs QueueBytes for each class
// and peer at most.
//
// docs/security.md in the repository lists what a stranger, and what a peer that turned
// bad, can and cannot do, with the test for each.
package transport
