//go:build unix

package core

import (
	"time"

	"golang.org/x/sys/unix"
)

// ProcessTime is the processor time of this process: on a machine that others share, the time that they take is not ours.
func ProcessTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
