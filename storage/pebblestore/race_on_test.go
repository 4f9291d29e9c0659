//go:build race

package pebblestore

// underRace says that the race detector is on, with which Pebble checks itself and
// takes ten times as long.
const underRace = true
