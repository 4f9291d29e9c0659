package core

import "fmt"

// beat is how many intervals lie between heartbeats where a host of many groups is measured.
const beat = 10

// hosted is how the replicas of a host's groups are timed there.
func hosted() Config { return Config{ElectionTick: 10 * beat, HeartbeatTick: beat} }

// asleep is the same for groups that sleep.
func asleep() Config {
	c := hosted()
	c.SleepAfter = beat
	return c
}

// hostTicks ticks all replicas of idle groups of three at each interval: an operation is the intervals from heartbeat to
// heartbeat, and what is counted one interval of one group.
func hostTicks[M any](groups int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		all, err := idleGroups(lib, groups, hosted())
		if err != nil {
			return nil, err
		}
		return host(all, 4, func() error {
			for _, g := range all {
				if err := g.tick(); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// hostDeadlines does the same by NextDeadline.
func hostDeadlines[M any](groups int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		all, err := idleGroups(lib, groups, hosted())
		if err != nil {
			return nil, err
		}
		w, err := wheelOf(all)
		if err != nil {
			return nil, err
		}
		return host(all, 4, w.interval)
	}
}

// hostAsleep does the same after the groups fell asleep.
func hostAsleep[M any](groups int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		all, err := idleGroups(lib, groups, asleep())
		if err != nil {
			return nil, err
		}
		w, err := wheelOf(all)
		if err != nil {
			return nil, err
		}
		for range 40 * beat { // until nothing is left in the wheel
			if err := w.interval(); err != nil {
				return nil, err
			}
		}
		if err := awake(all); err != nil {
			return nil, err
		}
		work, err := host(all, 0, w.interval)
		if err != nil {
			return nil, err
		}
		work.Max = 1 << 20 // it takes nothing, and is checked after as many
		check := work.End
		work.End = func(n int) error {
			if err := check(n); err != nil {
				return err
			}
			return awake(all)
		}
		return work, nil
	}
}

// wheelOf puts groups on a wheel, spread so that as many leaders are due at each interval as at another.
func wheelOf[M any](all []*Group[M]) (*wheel[M], error) {
	w := &wheel[M]{}
	for i := range beat {
		for j := i; j < len(all); j += beat {
			if err := w.add(all[j]); err != nil {
				return nil, err
			}
		}
		if err := w.interval(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// host has intervals pass, and counts the messages of each group from heartbeat to heartbeat.
func host[M any](all []*Group[M], messages int, interval func() error) (*Work, error) {
	sent := func() int {
		n := 0
		for _, g := range all {
			n += g.Net.Messages
		}
		return n
	}
	intervals := func(n int) error {
		for range n * beat {
			if err := interval(); err != nil {
				return err
			}
		}
		return nil
	}
	before := 0
	return &Work{
		Max: max(1, 1<<18/len(all)),
		Per: beat * len(all),
		Begin: func(int) error {
			before = sent()
			return nil
		},
		Run: intervals,
		End: func(n int) error {
			if got, want := sent()-before, n*messages*len(all); got != want {
				return fmt.Errorf("%d messages, want %d: two heartbeats and two answers for each group, or none", got, want)
			}
			return nil
		},
	}, intervals(1) // so that every group has its buffers
}
