package explore

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// numbers are the fields that look like names of members and are none: terms, indexes, ticks, bytes and counts.
var numbers = []string{
	"explore.disk.Synced", "explore.link.In", "explore.link.Term", "explore.member.Restore", "explore.read.Index",
	"explore.read.Number", "progress.CatchUp.Target", "progress.CatchUp.answered", "progress.CatchUp.match",
	"progress.CatchUp.since", "progress.Progress.AckedRound", "progress.Progress.LeaseTicks", "progress.Progress.Match",
	"progress.Progress.Next", "progress.Progress.PendingSnapshot", "progress.Progress.SentCommit", "progress.Progress.Since",
	"progress.Window.bytes", "progress.Window.maxBytes", "progress.inflight.bytes", "progress.inflight.index",
	"raft.RawNode.committedConf", "raft.Removal.Index", "raft.appliedPart.bytes", "raft.appliedPart.end", "raft.batch.commit",
	"raft.batch.end", "raft.batch.snapshot", "raft.batch.term", "raft.confAt.from", "raft.confAt.index", "raft.drive.beat",
	"raft.drive.index", "raft.drive.version", "raft.drive.waited", "raft.entryID.index", "raft.entryID.term",
	"raft.forwardedRead.seq", "raft.forwardedReads.nonce", "raft.forwardedReads.seq", "raft.leaderState.news",
	"raft.leaderState.round", "raft.leaderState.sessions", "raft.leaderState.sleepFrom", "raft.leaderState.start",
	"raft.leaderState.ticks", "raft.leaderState.woke", "raft.leaving.index", "raft.membership.applied",
	"raft.membership.index", "raft.pendingRead.index", "raft.pendingRead.round", "raft.raft.heardRound", "raft.raft.takeOver",
	"raft.raft.term", "raft.raftLog.applied", "raft.raftLog.applying", "raft.raftLog.applyingBytes", "raft.raftLog.committed",
	"raft.raftLog.confs", "raft.raftLog.maxApplying", "raft.raftLog.restoring", "raft.raftLog.savedCommit",
	"raft.raftLog.submitted", "raft.termRun.start", "raft.termRun.term", "raft.unstable.durable", "raft.unstable.offset",
	"raftpb.ConfState.Index", "raftpb.Entry.Index", "raftpb.Entry.Term", "raftpb.HardState.Commit", "raftpb.HardState.Term",
	"raftpb.MembershipChange.Expected", "raftpb.MembershipChange.Version", "raftpb.MembershipOutcome.Index",
	"raftpb.MembershipOutcome.Version", "raftpb.MembershipTarget.Version", "raftpb.Message.Commit", "raftpb.Message.Features",
	"raftpb.Message.Index", "raftpb.Message.LeaseTicks", "raftpb.Message.LogTerm", "raftpb.Message.RejectHint",
	"raftpb.Message.Round", "raftpb.Message.Term", "raftpb.SnapshotMetadata.Index", "raftpb.SnapshotMetadata.Term",
}

// unused are those that would name members if there were any: of changes, which there are none of where members are
// renamed, of targets, which are not modelled, and of messages to the own disk, which this library does not send.
var unused = []string{
	"confchange.Step.IDs", "raftpb.ConfChangeSingle.NodeID", "raftpb.Member.ID", "raftpb.MembershipOutcome.Node",
	"raftpb.MembershipTarget.Added", "raftpb.MembershipTarget.Learners", "raftpb.MembershipTarget.Voters",
	"raftpb.Message.Vote",
}

// Every field that could name a member is known to do so or not: a new one would be forgotten when members are renamed, so
// that states are taken for the same that are not.
func TestEveryNumberIsKnown(t *testing.T) {
	known := append(slices.Clone(numbers), unused...)
	slices.Sort(known)
	found := slices.Concat(memberCodec.Numbers(), messageCodec.Numbers(), ghostCodec.Numbers())
	slices.Sort(found)
	require.Equal(t, known, slices.Compact(found))
}
