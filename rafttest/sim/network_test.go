package sim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/trace"

	pb "github.com/quorate-raft/raft/raftpb"
)

// advance takes a simulation some steps on, without an end.
func advance(s *simulation, steps uint64) {
	for end := s.stats.Steps + steps; s.stats.Steps < end && !s.stopped(); {
		s.next()
	}
}

// watched is a group of three whose events are kept.
func watched(faults Faults) (*simulation, *[]trace.Event) {
	var events []trace.Event
	s := newSimulation(Options{Seed: 1, Nodes: 3, Faults: faults})
	s.observe = func(e *trace.Event) { events = append(events, *e) }
	return s, &events
}

// stale is a message that changes nothing: an answer in a term long ago. With it
// no link is silent for lack of messages.
func stale(from, to uint64) *pb.Message {
	return &pb.Message{Type: pb.MsgHeartbeatResp, From: from, To: to, Term: 1}
}

// A cut link delivers nothing, not even what was on its way, in the direction
// that is cut and in no other; mended, it delivers again.
func TestCut(t *testing.T) {
	t.Parallel()
	s, events := watched(None)
	advance(s, 3000)
	require.Nil(t, s.result.Violation)
	between := func(from, to uint64) (delivered int, dropped map[string]int) {
		dropped = map[string]int{}
		for _, e := range *events {
			switch {
			case e.Kind == trace.Deliver && e.Peer == from && e.Node == to:
				delivered++
			case e.Kind == trace.Drop && e.Node == from && e.Peer == to:
				dropped[e.Text]++
			}
		}
		return delivered, dropped
	}
	for from := uint64(1); from <= 3; from++ {
		for to := uint64(1); to <= 3; to++ {
			if from == to {
				continue
			}
			s.send(s.byID(from), stale(from, to))
			x, y := int(s.byID(from).slot), int(s.byID(to).slot)
			cuts := func(a, b int) bool { return a == x && b == y }
			s.cut(1, cuts)
			s.cut(1, cuts)
			*events = nil
			s.send(s.byID(from), stale(from, to))
			advance(s, 2000)
			delivered, dropped := between(from, to)
			require.Zero(t, delivered)
			require.NotZero(t, dropped["cut"])
			for other := uint64(1); other <= 3; other++ {
				if other != to && other != from {
					_, dropped := between(from, other)
					require.Zero(t, dropped["cut"])
				}
			}
			s.cut(-1, cuts)
			*events = nil
			advance(s, 200)
			delivered, _ = between(from, to)
			require.Zero(t, delivered, "one of two cuts is left")
			s.cut(-1, cuts)
			*events = nil
			advance(s, 3000)
			s.send(s.byID(from), stale(from, to))
			advance(s, 500)
			delivered, dropped = between(from, to)
			require.NotZero(t, delivered)
			require.Zero(t, dropped["cut"])
		}
	}
	require.Nil(t, s.result.Violation)
}

// An observer is told which links are cut, and when none is.
func TestCutsAreShown(t *testing.T) {
	t.Parallel()
	s, events := watched(None)
	shown := func(by int, cuts func(from, to int) bool) string {
		s.cut(by, cuts)
		last := (*events)[len(*events)-1]
		require.Equal(t, trace.Cut, last.Kind)
		return last.Text
	}
	first := func(from, to int) bool { return from == 0 && to == 1 }
	around := func(from, to int) bool { return from == 1 || to == 1 }
	require.Equal(t, "1>2", shown(1, first))
	require.Equal(t, "1-2 2-3", shown(1, around))
	require.Equal(t, "1-2 2-3", shown(-1, first))
	require.Empty(t, shown(-1, around))
}

// What faults do to links, nodes and disks is undone, each once, when a run ends:
// no link is cut, slow, lossy or full, nobody is held; and every message's place
// is free or belongs to one that is under way.
func TestFaultsAreUndone(t *testing.T) {
	t.Parallel()
	var total Stats
	ended := 0
	for seed := uint64(1); seed <= max(8, seeds(60)); seed++ {
		faults := []Faults{All, Network, Network | Crash, Disk | Clock | Host}[seed%4]
		s := newSimulation(Options{Seed: seed, Steps: 6000, Faults: faults})
		s.run()
		require.Nil(t, s.result.Violation, "seed %d", seed)
		total.Add(&s.stats)
		if s.healing.phase != healed {
			continue // its disks did not allow it
		}
		ended++
		requireMended(t, s, fmt.Sprintf("seed %d", seed))
		requireBalance(t, s)
	}
	require.Greater(t, total.Faults, uint64(100))
	require.NotZero(t, ended)
}

// Every planned fault that the table has is undone by itself, when its time is
// over, and at once if the run ends before: the settings, all links and all nodes
// are as they were. Those that hit once leave no trace but what they hit.
func TestEachFaultIsUndone(t *testing.T) {
	t.Parallel()
	for i := range faults {
		done := 0
		for seed := uint64(1); seed <= 40 && done < 4; seed++ {
			// Nothing else is planned.
			s := newSimulation(Options{Seed: seed, Nodes: 5, Faults: faults[i].of, Skip: Spans{{1, 1 << 40}}})
			s.set.faults = faults[i].of // all that it needs
			set := s.set
			advance(s, 2000)
			if n := s.byID(1); seed%2 == 0 && s.canLose(n, newRandom(seed, 0)) { // some need somebody to be gone
				n.disk.wiped = true
				s.crash(n, true, "")
				advance(s, 1000)
			}
			if faults[i].do(s, newRandom(seed, uint64(i))) == "" {
				continue // not in this situation
			}
			done++
			underWay := func() bool {
				return len(s.steered) > 0 || slices.ContainsFunc(s.undos, func(mend func()) bool { return mend != nil }) ||
					slices.ContainsFunc(s.nodes[:], func(n *node) bool { return n != nil && n.disk.stalledUntil > s.now })
			}
			run := fmt.Sprintf("%s, seed %d", faults[i].name, seed)
			if done%2 == 0 {
				s.mend()
			} else {
				for end := s.now + s.timeouts(100); s.now < end && underWay(); {
					advance(s, 100)
				}
				require.Equal(t, set, s.set, run)
			}
			require.Nil(t, s.result.Violation, run)
			requireMended(t, s, run)
			requireBalance(t, s)
		}
		require.NotZero(t, done, "%q never finds what it needs", faults[i].name)
	}
}

func requireMended(t *testing.T, s *simulation, run string) {
	t.Helper()
	require.Empty(t, s.steered, run)
	for i, mend := range s.undos {
		require.Nil(t, mend, "%s, undo %d", run, i)
	}
	for from := range s.net.links {
		for to := range s.net.links[from] {
			l := s.net.links[from][to]
			l.queued, l.lastTime = 0, 0 // what is under way
			require.Equal(t, link{}, l, "%s: %d to %d", run, from, to)
		}
	}
	for _, n := range s.nodes {
		if n == nil || !n.exists {
			continue
		}
		require.Zero(t, [4]int{n.paused, n.noTicks, n.stayDown, n.missed}, "%s, node %d", run, n.id)
		require.Zero(t, n.slowApply, "%s, node %d", run, n.id)
		require.Empty(t, n.deferred, "%s, node %d", run, n.id)
		require.False(t, n.disk.full || n.disk.noSnapshot, "%s, node %d", run, n.id)
		require.LessOrEqual(t, n.disk.stalledUntil, s.now, "%s, node %d", run, n.id)
	}
}

// requireBalance checks that links count what is under way on them.
func requireBalance(t *testing.T, s *simulation) {
	var queued [maxNodes][maxNodes]int
	used := map[uint64]bool{}
	count := func(events []event) {
		for _, e := range events {
			if e.kind == evDeliver {
				require.False(t, used[e.arg], "two messages in one place")
				used[e.arg] = true
				p := s.net.packets[e.arg]
				queued[p.from][p.to]++
			}
		}
	}
	count(s.queue.heap)
	for _, n := range s.nodes {
		if n != nil {
			count(n.deferred)
		}
	}
	for from := range queued {
		for to := range queued[from] {
			require.Equal(t, queued[from][to], s.net.links[from][to].queued, "%d to %d", from, to)
		}
	}
	require.Len(t, s.net.packets, len(used)+len(s.net.free))
	for _, place := range s.net.free {
		require.False(t, used[uint64(place)])
		require.Equal(t, pb.MessageType(0), s.net.packets[place].m.Type)
		require.Nil(t, s.net.packets[place].m.Entries, "freed messages hold nothing")
	}
}

// Counts of links agree with what is under way at any time, whatever happens.
func TestLinksCount(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 6; seed++ {
		s := newSimulation(Options{Seed: seed, Faults: All})
		for range 12 {
			advance(s, 500)
			require.Nil(t, s.result.Violation)
			requireBalance(t, s)
		}
	}
}

// overtaken counts the messages that arrive and those of them that arrive after
// one that was sent later on the same link. A message that is forwarded bears the
// name of its first sender, so links are told by who sent it last.
func overtaken(events []trace.Event) (delivered, late int) {
	sender, newest := map[uint64]uint64{}, map[[2]uint64]uint64{}
	for _, e := range events {
		switch e.Kind {
		case trace.Send:
			sender[e.Msg] = e.Node
		case trace.Deliver:
			link := [2]uint64{sender[e.Msg], e.Node}
			if delivered++; e.Msg < newest[link] {
				late++
			}
			newest[link] = max(newest[link], e.Msg)
		}
	}
	return delivered, late
}

// Links that keep the order, as a stream does, deliver every message in the order
// of sending, whatever the delays; others do not.
func TestInOrder(t *testing.T) {
	t.Parallel()
	for _, inOrder := range []bool{true, false} {
		s, events := watched(None)
		s.set.inOrder, s.set.delayMin, s.set.delayMax, s.set.straggle = inOrder, 1, 5*tickLength, 200
		advance(s, 5000)
		require.Nil(t, s.result.Violation)
		delivered, late := overtaken(*events)
		require.Greater(t, delivered, 500)
		require.Equal(t, inOrder, late == 0, "%d late", late)
	}
}

// silent is a group of three whose clocks stand still, so that nobody says
// anything but what the test has sent.
func silent() (*simulation, *[]trace.Event) {
	s, events := watched(None)
	for _, n := range s.nodes[:3] {
		n.noTicks = 1
	}
	s.set.delayMin, s.set.delayMax = 10*millisecond, 20*millisecond
	return s, events
}

// arrivals sends messages from node 1 to node 2, lets all arrive, and returns how
// many times each did, after what times, and why others did not.
func arrivals(t *testing.T, s *simulation, events *[]trace.Event, count int) (times []int, delays []int64, dropped map[string]int) {
	*events = nil
	sent, first := s.now, s.net.sent+1
	for range count {
		s.send(s.byID(1), stale(1, 2))
	}
	for s.now < sent+2*longestDelay && !s.stopped() {
		advance(s, 1)
	}
	require.Nil(t, s.result.Violation)
	require.Equal(t, first+uint64(count), s.net.sent+1, "nobody else says anything")
	times, dropped = make([]int, count), map[string]int{}
	for _, e := range *events {
		switch e.Kind {
		case trace.Deliver:
			times[e.Msg-first]++
			delays = append(delays, e.At-sent)
		case trace.Drop:
			dropped[e.Text]++
		}
	}
	return times, delays, dropped
}

// A message takes the time that its run and its link give it, arrives once, or as
// often as it is sent, and is lost for the reason that was set up and no other.
func TestLink(t *testing.T) {
	t.Parallel()
	const count = 100
	for name, c := range map[string]struct {
		set     func(s *simulation, l *link)
		least   int64 // and most: how long a message takes
		most    int64
		arrive  int // messages
		times   int // each of them
		dropped string
	}{
		"as it is": {func(*simulation, *link) {}, 10, 20, count, 1, ""},
		"slow":     {func(_ *simulation, l *link) { l.extra = 100 * millisecond }, 60, 120, count, 1, ""},
		"twice":    {func(s *simulation, _ *link) { s.set.twice = 1000 }, 10, 20 + 20*tickLength/millisecond, count, 2, ""},
		"lost":     {func(_ *simulation, l *link) { l.loss = 1000 }, 0, 0, 0, 0, "lost"},
		"all lose": {func(s *simulation, _ *link) { s.set.loss = 1000 }, 0, 0, 0, 0, "lost"},
		"clogged":  {func(_ *simulation, l *link) { l.clogged = true }, 0, 0, 0, 0, "link full"},
		"narrow":   {func(s *simulation, _ *link) { s.set.linkLimit = 7 }, 10, 20, 7, 1, "link full"},
		"cut":      {func(_ *simulation, l *link) { l.cuts = 1 }, 0, 0, 0, 0, "cut"},
		"down":     {func(s *simulation, _ *link) { s.byID(2).stayDown = 1; s.crash(s.byID(2), false, "") }, 0, 0, 0, 0, "down"},
	} {
		s, events := silent()
		l := &s.net.links[s.byID(1).slot][s.byID(2).slot]
		c.set(s, l)
		times, delays, dropped := arrivals(t, s, events, count)
		arrived := 0
		for _, n := range times {
			if n > 0 {
				arrived++
				require.Equal(t, c.times, n, name)
			}
		}
		require.Equal(t, c.arrive, arrived, name)
		for _, delay := range delays {
			require.True(t, delay >= c.least*millisecond && delay <= c.most*millisecond, "%s: %d", name, delay)
		}
		want := map[string]int{}
		if c.dropped != "" {
			want[c.dropped] = count - c.arrive
		}
		require.Equal(t, want, dropped, name)
		require.Zero(t, l.queued, name)
	}
}

// A paused process takes what arrived when it goes on, all of it once; one that
// goes down meanwhile, or is down already, loses it, as nobody's memory holds it
// any more.
func TestPausedNode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(s *simulation, n *node)
		delivered int
	}{
		"pauses": {func(*simulation, *node) {}, 5},
		"crashes while paused": {func(s *simulation, n *node) {
			n.stayDown = 1
			s.crash(n, false, "")
		}, 0},
	} {
		s, events := silent()
		n := s.byID(2)
		n.paused = 1
		times, _, dropped := arrivals(t, s, events, 5)
		require.Equal(t, []int{0, 0, 0, 0, 0}, times, name)
		require.Empty(t, dropped, name)
		requireBalance(t, s)
		c.meanwhile(s, n)
		*events = nil
		s.resume(n)
		advance(s, 200)
		delivered, _ := overtaken(*events)
		require.Equal(t, c.delivered, delivered, name)
		require.Empty(t, n.deferred, name)
		requireBalance(t, s)
	}

	s, events := silent()
	n := s.byID(2)
	n.paused, n.stayDown = 1, 1
	s.crash(n, false, "")
	_, _, dropped := arrivals(t, s, events, 5)
	require.Equal(t, map[string]int{"down": 5}, dropped, "who is down holds nothing, paused or not")
	requireBalance(t, s)
}

// Old messages arrive once more as they were, also if who sent them is no more,
// unless nobody is there to take them.
func TestReplay(t *testing.T) {
	t.Parallel()
	s, events := silent()
	s.net.oldRare, s.net.old = archive{}, archive{}
	vote := &pb.Message{Type: pb.MsgVoteResp, From: 1, To: 2, Term: 1, Reject: true}
	s.send(s.byID(1), vote)
	number := s.net.sent
	advance(s, 500)
	*events = nil
	r := newRandom(1, 1)
	for range 40 {
		s.replay(r, 64)
	}
	advance(s, 500)
	again := 0
	for _, e := range *events {
		if e.Kind == trace.Deliver {
			require.Equal(t, number, e.Msg)
			require.Equal(t, vote.Type, e.Type)
			require.Equal(t, uint64(2), e.Node)
			again++
		}
	}
	require.NotZero(t, again)
	requireBalance(t, s)

	s.destroy(s.byID(2))
	*events = nil
	for range 40 {
		s.replay(r, 64)
	}
	advance(s, 500)
	delivered, _ := overtaken(*events)
	require.Zero(t, delivered, "its receiver is no more")
}
