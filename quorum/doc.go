// Package quorum is the arithmetic of majorities: which index a set of voters
// has committed, and how a vote among them stands.
//
// Two rules of the Raft dissertation are all it knows. A decision needs a
// majority of the voters (§3.4 for elections, §3.5 for commitment), and during
// a joint change it needs a majority of the old and, separately, of the new
// voters (§4.3). An empty majority agrees with everything: its committed index
// is math.MaxUint64 and its vote is won. A configuration that is not joint has
// an empty outgoing half, so joint and plain quorums follow the same path.
//
// The functions on slices and counts ([CommittedIndex], [Tally], [Size]) are
// for callers that keep per-voter state in arrays; [MajorityConfig] and
// [JointConfig] answer the same questions from IDs.
//
// Nothing here keeps state, logs or panics. Everything may be called
// concurrently as long as no caller modifies a slice or map that another one
// is reading.
package quorum
