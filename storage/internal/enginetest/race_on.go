//go:build race

package enginetest

// underRace says that the race detector is on, with which all takes ten times as long.
const underRace = true
