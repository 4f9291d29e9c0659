// Package confchange computes cluster configurations from configuration
// changes: simple ones, which add or remove one voter at a time (Raft
// dissertation §4.1), and joint ones, which go from any set of voters to any
// other through a configuration in which both must agree (§4.3).
//
// [Apply] carries out a change that is committed, or in effect from its append.
// [Validate] judges a proposal and is stricter. Every function here is pure: it
// reads nothing but its arguments, modifies none of them, never panics, and
// returns an error together with the zero Config. All may be called
// concurrently.
package confchange
