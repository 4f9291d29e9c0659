package load

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/stat, which is this on every architecture that Go knows.
const tick = 10 * time.Millisecond

// busy is how long the processors of this machine have not been idle so far, also where a host took them away from a
// virtual machine, and false where that is not to be had.
func busy() (time.Duration, bool) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	scan := bufio.NewScanner(f)
	if !scan.Scan() {
		return 0, false
	}
	// cpu user nice system idle iowait irq softirq steal ...
	fields := strings.Fields(scan.Text())
	if len(fields) < 9 {
		return 0, false
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, true
}

// LoadAverage is how many processes waited for a processor or a disk in the last minute, "unknown" where that is not
// to be had.
func LoadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
