//go:build !unix

package core

import "time"

var began = time.Now()

// ProcessTime is the time since the start, where the processor time is not to be had.
func ProcessTime() time.Duration { return time.Since(began) }
