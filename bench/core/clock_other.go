//go:build !unix

package core

import "time"

var start = time.Now()

// now is the time since the start, where the processor time is not to be had.
func now() time.Duration { return time.Since(start) }
