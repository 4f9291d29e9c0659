// Package pebblestore keeps the logs of any number of Raft groups durably in one
// Pebble store.
package pebblestore
