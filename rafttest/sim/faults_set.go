package sim

import (
	"fmt"
	"strings"
)

// Faults is a set of profiles, each a family of faults and interventions that a
// run draws from. A run uses a random part of what it is given.
type Faults uint32

const (
	// Network: messages are lost, delayed, reordered, sent twice, replayed long
	// after; links are slow, full, cut in one direction or both.
	Network Faults = 1 << iota
	// Crash: processes crash at any point of the host loop and start again,
	// perhaps with other settings; some pause.
	Crash
	// Disk: unsynced writes are lost, disks stall, are full, fail a write or a
	// read, rot, or are lost for good.
	Disk
	// Clock: clocks differ within Config.MaxClockDrift, ticks come in bursts or
	// stop.
	Clock
	// Drift: clocks differ far more than Config.MaxClockDrift, so that leases do
	// not hold. No part of All: what it breaks is counted, not a violation.
	Drift
	// Host: hosts overlap sending, writing, applying and acknowledging, and are
	// slow at it.
	Host
	// Snapshot: snapshots are taken and the log is compacted at any time, far more
	// often than sensible; snapshots get lost, and reports on them are wrong.
	Snapshot
	// Transfer: leadership is moved around, nodes are told to campaign or to
	// forget their leader.
	Transfer
	// Membership: members are added, removed, promoted, demoted and replaced,
	// one by one and jointly, the leader among them.
	Membership
	// Lease: reads are served under leases.
	Lease
	// Hostile: nodes get messages that no correct peer sends.
	Hostile
	// Targets: memberships are proposed whole, for the leader to work towards, and are
	// cancelled, superseded and disturbed, with servers among them that never answer.
	Targets
	// Sleep: idle groups sleep, clients have nothing to do for a while, sleeping leaders are
	// lost, and hosts give the sign of life late, or without a reason.
	Sleep

	endOfFaults

	// None is a run in which nothing goes wrong.
	None Faults = 0
	// All is everything that a group has to survive.
	All = endOfFaults - 1 - Drift
)

var faultNames = [...]string{
	"network", "crash", "disk", "clock", "drift", "host", "snapshot", "transfer", "membership", "lease", "hostile", "targets", "sleep",
}

// String lists the names, as ParseFaults reads them.
func (f Faults) String() string {
	switch f {
	case None:
		return "none"
	case All:
		return "all"
	}
	var names []string
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// ParseFaults reads a list of names separated by commas: those of the constants
// in lower case, all, and none. A name with a minus before it takes that one
// out: all,-disk.
func ParseFaults(s string) (Faults, error) {
	var f Faults
next:
	for _, name := range strings.Split(s, ",") {
		name, out := strings.CutPrefix(strings.TrimSpace(name), "-")
		switch name {
		case "all":
			f = change(f, All, out)
			continue
		case "none":
			continue
		}
		for i := range faultNames {
			if name == faultNames[i] {
				f = change(f, 1<<i, out)
				continue next
			}
		}
		return 0, fmt.Errorf("unknown fault profile %q; there are all, none, %s", name, strings.Join(faultNames[:], ", "))
	}
	return f, nil
}

func change(f, by Faults, out bool) Faults {
	if out {
		return f &^ by
	}
	return f | by
}

func (f Faults) has(one Faults) bool { return f&one != 0 }

func (f Faults) hasAll(some Faults) bool { return f&some == some }

// FaultNames returns the names of the profiles.
func FaultNames() []string { return faultNames[:] }
