package rafttest

import "fmt"

// HostRule names a rule of docs/host-contract.md that a host broke.
type HostRule string

// HostViolation is one rule that a host broke, and how.
type HostViolation struct {
	Rule   HostRule
	Detail string
}

// String returns the rule and the detail.
func (v HostViolation) String() string { return fmt.Sprintf("host rule %s: %s", v.Rule, v.Detail) }

// Rules of persisting.
const (
	// RuleWriteOrder: Readys are persisted in their order, none left out.
	RuleWriteOrder HostRule = "write-order"
	// RuleWriteWhole: the snapshot, the entries and the hard state of a Ready are
	// persisted all and unchanged.
	RuleWriteWhole HostRule = "write-whole"
	// RuleWriteAlone: one node at a time works on a Storage; what is left of an
	// earlier one writes nothing.
	RuleWriteAlone HostRule = "write-alone"
	// RuleStopAfterFailure: once a write failed, nothing is written, acknowledged or
	// promised until a new node is made.
	RuleStopAfterFailure HostRule = "stop-after-failure"
	// RuleCompactApplied: the log is compacted no further than it is applied.
	RuleCompactApplied HostRule = "compact-applied"
	// RuleCompactCovered: the log is compacted no further than a snapshot reaches.
	RuleCompactCovered HostRule = "compact-covered"
	// RuleSnapshotApplied: a snapshot is taken of an index that is applied.
	RuleSnapshotApplied HostRule = "snapshot-applied"
	// RuleConfOfIndex: a configuration that is stored, alone or in a snapshot, is the
	// one of the index that it is stored with.
	RuleConfOfIndex HostRule = "conf-of-index"
)

// Rules of sending.
const (
	// RulePromiseAfterWrite: MessagesAfterAppend leave once the write of their own
	// Ready is durable.
	RulePromiseAfterWrite HostRule = "promise-after-write"
	// RulePromiseAfterEarlierWrites: MessagesAfterAppend leave once the writes of all
	// earlier Readys are durable, also when their own has nothing to write.
	RulePromiseAfterEarlierWrites HostRule = "promise-after-earlier-writes"
	// RuleSendMessages: Messages are sent.
	RuleSendMessages HostRule = "send-messages"
	// RuleSendPromises: MessagesAfterAppend are sent.
	RuleSendPromises HostRule = "send-promises"
	// RuleSendUnchanged: messages are sent as they were handed out; who keeps them
	// past the Ready's acknowledgement copies them before.
	RuleSendUnchanged HostRule = "send-unchanged"
)

// Rules of applying.
const (
	// RuleApplyHandedOut: only what CommittedEntries and Snapshot held is applied.
	RuleApplyHandedOut HostRule = "apply-handed-out"
	// RuleApplyOrder: entries are applied in the order of the log.
	RuleApplyOrder HostRule = "apply-order"
	// RuleApplyEach: no entry is left out.
	RuleApplyEach HostRule = "apply-each"
	// RuleApplyOnce: no entry is applied twice between two starts.
	RuleApplyOnce HostRule = "apply-once"
	// RuleEntriesUnchanged: entries and their data never change.
	RuleEntriesUnchanged HostRule = "entries-unchanged"
	// RuleConfChangeApplied: ApplyConfChange is called for every change of
	// configuration before AckApply covers its entry. With OnAppend it may be left out.
	RuleConfChangeApplied HostRule = "conf-change-applied"
	// RuleConfChangeOrder: ApplyConfChange is called with the change of the entry whose
	// turn it is, once. A change may be refused, but not with OnAppend.
	RuleConfChangeOrder HostRule = "conf-change-order"
	// RuleRestoreSnapshot: a snapshot is restored before AckApply, or Advance, covers
	// it, after which later entries come.
	RuleRestoreSnapshot HostRule = "restore-snapshot"
	// RuleRestoreAfterWrite: a snapshot is restored once it is durable, else a state
	// machine that survives a crash is ahead of the log.
	RuleRestoreAfterWrite HostRule = "restore-after-write"
	// RuleReadAfterApply: a read is served once its index is applied.
	RuleReadAfterApply HostRule = "read-after-apply"
	// RuleReadConfirmed: only a read that was in ReadStates is served as one.
	RuleReadConfirmed HostRule = "read-confirmed"
)

// Rules of acknowledging and restarting.
const (
	// RuleAckAfterWrite: AckAppend, or Advance, comes after the write.
	RuleAckAfterWrite HostRule = "ack-after-write"
	// RuleMustSync: a Ready with MustSync is acknowledged once its write is on the
	// disk.
	RuleMustSync HostRule = "must-sync"
	// RuleAckAfterApply: AckApply, or Advance, comes after applying.
	RuleAckAfterApply HostRule = "ack-after-apply"
	// RuleAckOwn: what is acknowledged was handed out by this very node.
	RuleAckOwn HostRule = "ack-own"
	// RuleRestartAppliedTooHigh: Config.Applied is not past what the state machine
	// holds after a crash: what lies between would never be applied.
	RuleRestartAppliedTooHigh HostRule = "restart-applied-too-high"
	// RuleRestartAppliedTooLow: Config.Applied is not before what the state machine
	// holds after a crash: what lies between would be applied again.
	RuleRestartAppliedTooLow HostRule = "restart-applied-too-low"
	// RuleRestartKeepsWrites: a restart finds all that was durable.
	RuleRestartKeepsWrites HostRule = "restart-keeps-writes"
	// RuleRestartRandom: Config.Rand does not repeat at a restart what it gave an
	// earlier instance.
	RuleRestartRandom HostRule = "restart-random"
)
