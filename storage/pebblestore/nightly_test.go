package pebblestore

import "os"

// nightly makes the tests that look at many seeds look at more of them.
var nightly = os.Getenv("PEBBLESTORE_NIGHTLY") != ""

// scaled returns how many of something a test tries.
func scaled(n int) int {
	switch {
	case nightly:
		return 25 * n
	case underRace:
		return max(1, n/4)
	}
	return n
}
