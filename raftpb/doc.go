// Package raftpb holds what Raft nodes exchange and store: messages, log entries, snapshots, configurations and
// the changes between them.
//
// The types are plain Go structs with generated marshalling; raft.proto describes each field and the wire
// format, which is that of go.etcd.io/raft/v3 with optional fields added. Beside them stand the helpers that
// turn configuration changes into entries and back.
//
// Nothing here may be written by one goroutine while another uses it. Entries and their data are never written
// again once made, so any number of goroutines may share them.
package raftpb

//go:generate env GOWORK=off go -C ../tools run ./genproto
