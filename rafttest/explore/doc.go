// Package explore runs real nodes through everything that a small group can do, and checks the safety of Raft in
// every state that it comes to. Random simulation samples; this enumerates.
//
// [Bounds] say what can happen and how often, [NewModel] makes a model of them, and package search goes through its
// states, breadth first, so that what it finds first is a shortest way to it:
//
//	m, err := explore.NewModel(explore.Bounds{Members: 3, Terms: 2, Messages: 2, Proposals: 1, NoPreVote: true, NoCheckQuorum: true})
//	...
//	r, err := search.Run(ctx, m, search.Options{})
//	if r.Violation != nil {
//		events, err := m.Events(r.Violation) // lines, or a picture by package spacetime
//	}
//
// The command raftsim explore does that, for models of one's own and for those of [Tiers], whose numbers of states are
// recorded. docs/testing.md says what a state is, which states are taken for the same, what is left out, and which
// rules are checked.
package explore
