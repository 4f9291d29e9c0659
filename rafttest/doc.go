// Package rafttest helps to test what is built on package raft.
//
//   - Cluster is a group of RawNodes in memory whose messages a test delivers,
//     loses and reorders one by one.
//   - TestStorage checks a Storage against its contract.
//   - CheckHost watches a host that drives a node, and names the rule that it
//     breaks.
//
// Package rafttest/sim runs whole groups in a simulated world that fails, from a
// seed; rafttest/lincheck checks what clients saw.
package rafttest
