// Package repair replaces voters that are gone for good by spares, without an operator,
// and within the limits that an operator sets.
//
// It is policy and no part of the protocol: a Supervisor looks at a group through the
// replica that it runs beside, decides by the pure function [Decide], and acts through a
// membership target (raft.RawNode.ProposeMembership), which anybody could set by hand.
//
//	s, err := repair.New(repair.Config{
//		Group:  repair.Of(r), // a *replica.Replica
//		Policy: repair.Policy{After: 10 * time.Minute, Learners: true},
//	})
//	...
//	go s.Run(ctx)
//
// Run one beside every replica of the group: only that of the leader acts, and any of
// them may come to lead.
//
// # What it takes to act
//
// A voter is replaced if all of this holds, and one at a time:
//
//   - The leader has not heard from it for Policy.After, without a break, and has led for
//     as long: a new leader knows nothing of before, and a supervisor that stood still
//     itself has seen nothing.
//   - No target stands, no change is under way, and the configuration is not joint.
//   - As many voters are heard from as decide, and as Policy.MinVoters asks for: if more
//     are gone, something else than a machine has failed, and that is for people.
//   - There is a spare that is not known to be gone, did not fail lately, and is no voter
//     that was removed.
//   - After all that was found, a quorum has confirmed that this replica leads, in the same
//     term, and everything is still so.
//
// The proposal names the configuration that was judged, and is taken by the leader of
// that term alone, if the configuration is still that one. So what is done beside it, by
// hand or by another supervisor, makes it void rather than wrong.
//
// Whether the spare is there shows when it catches up, before it votes (dissertation
// §4.2.1): if it does not, the target is given up, the group is as it was, and the
// spare is left alone for Policy.Cooldown, and for twice as long each time that it fails
// again. Supervisors learn of that from the outcome in the configuration: also those of
// later leaders.
package repair
