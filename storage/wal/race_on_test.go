//go:build race

package wal

// underRace says that the race detector is on, with which all takes ten times as long.
const underRace = true
