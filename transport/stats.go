package transport

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// Stats is what a transport did since it was made, and what it does now. Bytes are
// those of frames, without TLS.
type Stats struct {
	// Peers are the nodes that groups send to, by ID.
	Peers []PeerStats
	// ReceivedMessages and ReceivedBytes count what arrived in the message lanes,
	// Misaddressed and UnknownGroup those of them that were dropped: with a wrong
	// sender or receiver, and for a group that is not here or not started.
	ReceivedMessages, ReceivedBytes, Misaddressed, UnknownGroup uint64
	// Unaddressed counts messages to nodes that are not known.
	Unaddressed uint64
	// Refused counts accepted connections that were closed before or after their
	// handshake because they are not let in.
	Refused uint64
	// Handshakes is the number of accepted connections that have not said who they
	// are; Inbound the number of nodes that are connected to this one.
	Handshakes, Inbound int
	// SnapshotsIn and SnapshotsOut are the snapshots under way.
	SnapshotsIn, SnapshotsOut int
	// SnapshotsReceived and SnapshotsSent count those that were committed, and
	// SnapshotBytes the bytes of snapshots sent, repeated ones counted again.
	SnapshotsReceived, SnapshotsSent, SnapshotBytes uint64
	// SnapshotResumes counts connections by which a snapshot that this node sends
	// went on.
	SnapshotResumes uint64
}

// PeerStats is about what is sent to one peer.
type PeerStats struct {
	ID      uint64
	Address string
	// Lanes has the lanes of messages: LaneControl, LaneLog.
	Lanes [messageLanes]LaneStats
	// Dropped counts, by Class, messages that were not sent.
	Dropped [classes]uint64
}

// LaneStats is about one connection for messages.
type LaneStats struct {
	// Connected says whether there is a connection now.
	Connected bool
	// QueuedMessages and QueuedBytes wait or are being written.
	QueuedMessages, QueuedBytes int
	// SentMessages and SentBytes were handed to the operating system.
	SentMessages, SentBytes uint64
	// Connects counts the connections that were made, FailedDials the tries that
	// made none. Connects-1 is the number of reconnects.
	Connects, FailedDials uint64
}

type counters struct {
	received, receivedBytes, misaddressed, unknownGroup atomic.Uint64
	unaddressed, refused                                atomic.Uint64
	snapshotsReceived, snapshotsSent                    atomic.Uint64
	snapshotBytes, snapshotResumes                      atomic.Uint64
}

// Stats returns figures of now. It may be called concurrently with everything.
func (t *Transport) Stats() Stats {
	s := Stats{
		ReceivedMessages:  t.stats.received.Load(),
		ReceivedBytes:     t.stats.receivedBytes.Load(),
		Misaddressed:      t.stats.misaddressed.Load(),
		UnknownGroup:      t.stats.unknownGroup.Load(),
		Unaddressed:       t.stats.unaddressed.Load(),
		Refused:           t.stats.refused.Load(),
		Handshakes:        t.waiting.len(),
		SnapshotsIn:       t.incoming.active(),
		SnapshotsOut:      len(t.outgoing),
		SnapshotsReceived: t.stats.snapshotsReceived.Load(),
		SnapshotsSent:     t.stats.snapshotsSent.Load(),
		SnapshotBytes:     t.stats.snapshotBytes.Load(),
		SnapshotResumes:   t.stats.snapshotResumes.Load(),
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	s.Inbound = len(t.nodes)
	for _, p := range t.peers {
		ps := PeerStats{ID: p.id, Address: p.address()}
		for i, l := range p.lanes {
			l.addStats(&ps.Lanes[i], &ps.Dropped)
		}
		s.Peers = append(s.Peers, ps)
	}
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (l *lane) addStats(s *LaneStats, dropped *[classes]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*s = l.stats
	s.Connected = l.conn != nil
	for class := range classes {
		s.QueuedMessages += l.messages[class]
		s.QueuedBytes += l.bytes[class]
		dropped[class] += l.dropped[class]
	}
}
