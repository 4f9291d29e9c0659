// Package rafttest helps to test raft groups: a deterministic cluster of
// RawNodes in memory, whose messages, disks and clocks a test drives step by
// step.
package rafttest
