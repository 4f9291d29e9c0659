package sim

import (
	"github.com/quorate-raft/raft/rafttest/trace"

	pb "github.com/quorate-raft/raft/raftpb"
)

// maxNodes bounds the nodes that exist at the same time.
const maxNodes = 12

// network carries messages between nodes, each link with its own faults.
type network struct {
	random  *random
	packets []packet
	free    []uint32
	sent    uint64 // number of the last message
	links   [maxNodes][maxNodes]link
	// old are messages that were sent before, to be sent again much later; rare
	// ones have a place of their own.
	old, oldRare archive
}

// archive keeps some messages, the older ones making room.
type archive struct {
	packets [64]packet
	next    int
}

func (a *archive) add(p packet) {
	a.packets[a.next%len(a.packets)] = p
	a.next++
}

// longestDelay is more than any message takes that is not held up by others.
const longestDelay = 100 * tickLength

type packet struct {
	m      pb.Message
	id     uint64
	sender uint64 // whose host sent it; m.From may be another
	from   int16  // the link's ends
	to     int16
}

// link is one direction between two nodes.
type link struct {
	cuts     int   // faults that cut it now
	extra    int64 // delay on top, at most
	loss     int   // of 1000, on top
	queued   int   // messages under way
	clogged  bool  // takes none any more
	lastTime int64 // when the last message arrives, for links that keep the order
}

// send puts a message of n on its way.
func (s *simulation) send(n *node, m *pb.Message) {
	net := &s.net
	net.sent++
	id := net.sent
	s.mix(uint64(m.Type)<<56 ^ m.To<<48 ^ m.Term<<24 ^ m.Index)
	s.mix(m.LogTerm<<32 ^ m.Commit ^ uint64(len(m.Entries))<<48 ^ uint64(bit(m.Reject))<<63)
	if s.observe != nil {
		s.emitMessage(trace.Send, n.id, m.To, id, m, "")
	}
	switch m.Type {
	case pb.MsgApp, pb.MsgAppResp, pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgProp:
		if net.random.oneIn(16) {
			net.old.add(packet{*m, id, n.id, n.slot, -1})
		}
	default:
		net.oldRare.add(packet{*m, id, n.id, n.slot, -1})
	}
	s.stats.Messages++
	to := s.byID(m.To)
	if to == nil || !to.exists {
		s.lost(n, m, id, "nobody there")
		return
	}
	l := &net.links[n.slot][to.slot]
	switch {
	case l.cuts > 0:
		s.lost(n, m, id, "cut")
	case l.clogged || l.queued >= s.set.linkLimit:
		s.lost(n, m, id, "link full")
	case n.losesAck && m.Type == pb.MsgAppResp && !m.Reject:
		n.losesAck = false
		s.mark(markSnapshotAckLost)
		s.lost(n, m, id, "lost, as the first after a snapshot")
	case net.random.chance(s.set.loss + l.loss):
		s.lost(n, m, id, "lost")
	default:
		s.carry(n, to.slot, m, id, 0)
		if net.random.chance(s.set.twice) && !s.once(m) {
			s.proposals.doubled(m)
			s.carry(n, to.slot, m, id, net.random.spread(1, 20*tickLength))
		}
	}
}

// carry lets a message arrive after the link's delay.
func (s *simulation) carry(n *node, to int16, m *pb.Message, id uint64, later int64) {
	net, from := &s.net, n.slot
	l := &net.links[from][to]
	delay := later + net.random.between(s.set.delayMin, s.set.delayMax)
	if l.extra > 0 {
		delay += net.random.between(l.extra/2, l.extra)
	}
	if net.random.chance(s.set.straggle) {
		delay += net.random.spread(millisecond, 30*tickLength)
	}
	at := s.now + delay
	if s.set.inOrder && later == 0 {
		at = max(at, l.lastTime)
		l.lastTime = at
	}
	l.queued++
	var place uint32
	if k := len(net.free); k > 0 {
		place = net.free[k-1]
		net.free = net.free[:k-1]
	} else {
		place = uint32(len(net.packets))
		net.packets = append(net.packets, packet{})
	}
	net.packets[place] = packet{*m, id, n.id, from, to}
	s.queue.push(event{at: at, kind: evDeliver, node: to, arg: uint64(place)})
}

// lost ends a message's way. The sender's transport may notice.
func (s *simulation) lost(n *node, m *pb.Message, id uint64, why string) {
	s.stats.Lost++
	if s.observe != nil {
		s.emitMessage(trace.Drop, n.id, m.To, id, m, why)
	}
	if m.Type == pb.MsgSnap {
		s.mark(markSnapshotLost)
		if s.net.random.chance(s.set.reportSnapshots) {
			n.report(m.To, reportSnapshotFailed)
		}
	} else if s.net.random.chance(s.set.reportLoss) {
		n.report(m.To, reportUnreachable)
	}
}

// deliver steps a message into its receiver.
func (s *simulation) deliver(place uint64) {
	net := &s.net
	p := &net.packets[place]
	l := &net.links[p.from][p.to]
	to, from := s.nodes[p.to], s.nodes[p.from]
	if from != nil && (from.id != p.sender || !from.up) {
		from = nil
	}
	l.queued--
	why := ""
	switch {
	case to == nil || !to.up || to.id != p.m.To:
		why = "down"
	case l.cuts > 0:
		why = "cut"
	}
	switch {
	case why == "":
		s.input = p.m
		if to.transport != nil && from != nil && !s.overWire(from, to, &s.input) {
			return
		}
		if s.input.Type == pb.MsgSnap {
			to.losesAck = s.set.loseSnapshotAcks
		}
		s.step(to, &s.input, p.id)
		if s.input.Type == pb.MsgSnap && from != nil && net.random.chance(s.set.reportSnapshots) {
			from.report(s.input.To, reportSnapshotDone)
			s.wake(from)
		}
	case from != nil:
		s.lost(from, &p.m, p.id, why)
		s.wake(from)
	}
	p = &net.packets[place] // what happened may have moved them
	p.m = pb.Message{}
	net.free = append(net.free, uint32(place))
}

// replay sends messages of long ago once more.
func (s *simulation) replay(r *random, count int) {
	for range count {
		from := &s.net.old
		if r.oneIn(2) {
			from = &s.net.oldRare
		}
		p := &from.packets[r.below(len(from.packets))]
		if p.id == 0 || s.once(&p.m) {
			continue
		}
		sender := s.nodes[p.from]
		if to := s.byID(p.m.To); to != nil && to.exists && to.slot != p.from && sender != nil && sender.id == p.sender {
			s.proposals.doubled(&p.m)
			s.carry(sender, to.slot, &p.m, p.id, r.between(0, tickLength))
		}
	}
}
