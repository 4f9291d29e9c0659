// Package search explores all states of a model, breadth first, and knows nothing
// of what they mean. The first forbidden state that it finds is a nearest one.
//
// # What a model promises
//
// A state is a byte string, an action a number, which means something together
// with the state in which it is enabled. For each state a Worker emits the
// successors with their fingerprints. Equal fingerprints are taken for the same
// state, so a model that knows of a symmetry computes them from a canonical form.
// For the results to be right, and the same each time:
//
//   - States with equal fingerprints have the same actions, in the same order, to
//     successors with the same fingerprints, and the same failures. Which of them
//     is expanded depends on who came first. So under symmetry an action is named
//     as it is called in the canonical form of its state.
//   - Fingerprints and actions are the same in every process, though the bytes of
//     states may differ, as do numbers of interned parts.
//   - Under sleep sets, an action has one successor, and Commute says true only
//     where both actions are enabled, neither disables the other, and both orders
//     lead to the same fingerprint; and it says the same of a and b as of b and a.
//     Where the canonical form of the successor has the processes in another order,
//     Commute returns the other action's name in that form. If several
//     permutations lead to the canonical form, any of them will do, but it must be
//     that of the emitted successor.
//
// CheckLaws tries these promises on a small model.
//
// # Layers
//
// Workers expand the states of a layer in parallel and insert the successors,
// which make the next layer if no earlier layer holds them. What is kept of a state
// that is reached more than once does not depend on the order: of its parents the
// least, of its sleep sets the intersection. A layer is always expanded to its end,
// so that among the violations in it the one that is reported is the least by depth
// and fingerprint. Its path is found backwards by fingerprints and then followed
// forwards through the model, from the concrete initial state, as TLC does it.
//
// # Sleep sets
//
// Where actions a and b commute in s, the way by b and then a need not be gone
// when that by a and then b is. The successor of s by a sleeps on each b that
// commutes with a and that either slept in s or was explored there before a
// (Godefroid, Partial-Order Methods for the Verification of Concurrent Systems,
// 1996, chapter 5). A state that is reached several times in its layer sleeps on
// what all ways allow. Arrivals in later layers change nothing: depth first, where
// Godefroid explores again what an arrival does not sleep on, that is needed, but
// not by layers:
//
// Every state t is reached, in the layer of its distance n. Order the ways of
// length n to t by the first action in which they differ, in the order in which it
// is explored in the state where they part; let w be the least. Each prefix of w is
// a shortest way to where it ends. So along w each state is expanded in the
// layer that w reaches it in, and what sleeps there is no more than w alone would
// have put to sleep, as others only take away. Suppose that w's next action b
// slept. Then it was explored, somewhere on w, before the action of w there, and
// commutes with all of w since. So it could be moved to that place, which gives a
// way to t of the same length that is less than w. The order of exploration may
// differ from state to state, and names may change on the way.
//
// Sleep sets leave out transitions, never states, and no terminal state. So what
// the model says of states is found, at the least depth. What it says of a
// transition, in Fail, is found if it says the same, or says it of the state
// reached, in the other order.
//
// # Disk
//
// With Options.Dir, each layer is written as a sorted run of fingerprints and a
// file of the states to expand, and a manifest, replaced atomically, names what
// belongs to the search. A search whose process died goes on at the last finished
// layer. As long as the fingerprints of all layers fit into Options.MemoryBytes
// they stay in memory as well. Beyond that, only the layer that is being built is
// in memory; when it does not fit either, it is written as sorted candidates, and
// what is new among them is found at the end of the layer, by one pass over all
// runs.
package search
