// Package migration is one small host twice, on etcd's raft and on this library, with the
// same files on disk: what changes in a host's code, and a group that changes from the one
// to the other, node by node and back, while it works.
package migration
