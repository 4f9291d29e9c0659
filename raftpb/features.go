package raftpb

// The bits of Message.Features.
const (
	// FeatureMembership: the sender knows of targets, see MembershipTarget.
	FeatureMembership uint64 = 1 << iota
	// FeatureOnAppend: the sender's changes of configuration take effect on append. All members of a group agree in this.
	FeatureOnAppend
	// FeatureRefusals: the sender of a MsgProp wants to hear if it is refused.
	FeatureRefusals
	// FeatureSleep: the sender sleeps when its leader asks it to, see Message.Sleep.
	FeatureSleep
)
