package raft

import (
	"fmt"
	"slices"

	"go.uber.org/zap"

	pb "github.com/quorate-raft/raft/raftpb"
)

// What nodes say of themselves (raftpb.Message.Features), in requests for votes and in
// heartbeats and their answers; what remembers it is membership.features.

// features is what this node says of itself.
func (r *raft) features() uint64 {
	f := pb.FeatureMembership | r.effectFeature()
	if r.cfg.SleepAfter > 0 {
		f |= pb.FeatureSleep
	}
	return f
}

// effectFeature is the part of it that appends and snapshots have too: it costs a
// group whose changes take effect when they are applied nothing.
func (r *raft) effectFeature() uint64 {
	if r.onAppend() {
		return pb.FeatureOnAppend
	}
	return 0
}

// saysEffect reports whether messages of type t say when the sender's changes of
// configuration take effect, be it by silence.
func saysEffect(t pb.MessageType) bool {
	switch t {
	case pb.MsgVote, pb.MsgPreVote, pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgApp, pb.MsgSnap:
		return true
	}
	return false
}

// sameEffect reports whether m does not say that the sender's changes of configuration
// take effect at another time. Most messages do not, and it is asked of each.
func (r *raft) sameEffect(m *pb.Message) bool {
	return (m.Features^r.effectFeature())&pb.FeatureOnAppend == 0
}

// checkEffect refuses the messages, unless sameEffect, of a node whose changes of configuration take effect
// at another time: its majorities are those of other configurations, which need not
// meet those that this node knows (dissertation §4.1).
func (r *raft) checkEffect(m *pb.Message) error {
	if !saysEffect(m.Type) {
		return nil
	}
	theirs := OnApply
	if m.Features&pb.FeatureOnAppend != 0 {
		theirs = OnAppend
	}
	if r.warned.first(m.From) {
		r.logger.Warn("a node with another ConfChangeEffect is not listened to", zap.Uint64("id", r.id),
			zap.Uint64("peer", m.From), zap.Stringer("peer effect", theirs), zap.Stringer("effect", r.cfg.ConfChangeEffect))
	}
	return fmt.Errorf("%w: that of %d is %v, here it is %v", ErrConfChangeEffect, m.From, theirs, r.cfg.ConfChangeEffect)
}

// warned are the nodes about which a line was logged, once in this node's life.
type warned []uint64

// first reports whether no line was logged about id, and that one will be.
func (w *warned) first(id uint64) bool {
	if len(*w) >= 64 || slices.Contains(*w, id) {
		return false
	}
	*w = append(*w, id)
	return true
}

// advertised notes what a member says of itself. The last word counts, and silence is
// one: a member may go back to older software.
func (m *membership) advertised(id, features uint64) {
	if i := m.pos(id); i >= 0 {
		m.features[i] = features
	}
}

// knowsTargets reports whether the member id is known to know of targets.
func (r *raft) knowsTargets(id uint64) bool {
	if id == r.id {
		return true
	}
	i := r.conf.pos(id)
	return i >= 0 && r.conf.features[i]&pb.FeatureMembership != 0
}
