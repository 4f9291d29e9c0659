// Package confchange computes cluster configurations from configuration
// changes: simple ones, which add or remove one voter at a time (Raft
// dissertation §4.1), and joint ones, which go from any set of voters to any
// other through a configuration in which both must agree (§4.3).
//
// [Apply] carries out a change that is committed, or in effect from its append.
// [Validate] judges a proposal and is stricter.
//
// A target is a membership that a group is to reach by whatever changes it takes.
// It is set and ended by changes, which [ApplyAt] carries out, and stands in the
// configuration meanwhile; [Plan] says what to do next, and [Preflight]
// beforehand what lies on the way.
//
// Every function here is pure: it reads nothing but its arguments, modifies none
// of them, never panics, and returns an error together with the zero value. All
// may be called concurrently.
package confchange
