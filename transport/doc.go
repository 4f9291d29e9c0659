// Package transport carries messages and snapshots between the nodes of raft groups, over TCP.
package transport
