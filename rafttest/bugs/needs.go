package bugs

// Need is a condition without which a bug does not show: a fault, a habit of the
// host, a client's operation or a setting.
type Need string

// The needs.
const (
	// Faults of the network.
	Loss      Need = "loss"
	Delay     Need = "delay" // some messages far later than others, also after a restart
	Reorder   Need = "reorder"
	Duplicate Need = "duplicate"
	Partition Need = "partition"

	// Faults of machines and disks.
	Crash    Need = "crash"    // and restart; what was not acknowledged as durable may be lost
	Down     Need = "down"     // a minority stays down until the end
	Unsynced Need = "unsynced" // a crash also loses writes of a Ready without MustSync

	// Habits of the host.
	Pipeline  Need = "pipeline"   // takes further Readys while writes are under way
	Batch     Need = "batch"      // takes several messages before it asks for a Ready
	SlowApply Need = "slow-apply" // applies committed entries late
	Compact   Need = "compact"    // takes snapshots and compacts, so that peers need snapshots
	Reports   Need = "reports"    // calls ReportSnapshot and ReportUnreachable, also wrongly
	StaleAcks Need = "stale-acks" // calls AckAppend with tokens of before a restart
	Campaign  Need = "campaign"   // calls Campaign at any time
	Vanish    Need = "vanish"     // shuts a node down for good once it knows that it is removed

	// What is asked of the group.
	Reads          Need = "reads"           // ReadIndex at the leader, served as soon as it may be
	ForwardedReads Need = "forwarded-reads" // ReadIndex at followers
	LeaseReads     Need = "lease-reads"     // LeaseRead
	Transfer       Need = "transfer"
	Membership     Need = "membership" // changes of one voter
	Joint          Need = "joint"      // changes in the form of ConfChangeV2, also joint ones
	Learners       Need = "learners"   // members that are learners, and their promotion
	Append         Need = "append"     // changes take effect when they are appended
	Targets        Need = "targets"    // memberships are proposed whole
	Sleep          Need = "sleep"      // idle groups sleep, and wake

	// Settings.
	Leases        Need = "leases"         // ReadOnlyLeaseBased
	NoPreVote     Need = "no-prevote"     // DisablePreVote
	SmallMessages Need = "small-messages" // MaxSizePerMsg of a few entries
	SmallPages    Need = "small-pages"    // MaxCommittedSizePerReady of a few entries
	SmallWindow   Need = "small-window"   // MaxInflightMsgs of a few
	WindowBytes   Need = "window-bytes"   // MaxInflightBytes

	// Forged: messages that no correct peer sends.
	Forged Need = "forged"
)

var allNeeds = []Need{
	Loss, Delay, Reorder, Duplicate, Partition, Crash, Down, Unsynced,
	Pipeline, Batch, SlowApply, Compact, Reports, StaleAcks, Campaign, Vanish,
	Reads, ForwardedReads, LeaseReads, Transfer, Membership, Joint, Learners, Append, Targets, Sleep,
	Leases, NoPreVote, SmallMessages, SmallPages, SmallWindow, WindowBytes, Forged,
}
