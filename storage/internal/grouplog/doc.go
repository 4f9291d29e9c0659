// Package grouplog is what the storages of this directory have in common: what is
// known of a group's log in memory, the cache of its newest entries, and reads and
// writes as far as they do not depend on how the disk is used.
//
// storage/pebblestore is a module of its own that imports it too, so the two modules
// are released together.
package grouplog
