package progress

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var catchUpLimits = CatchUpLimits{ElectionTick: 5, MaxRounds: 3, MaxTicks: 40}

// server is a learner under measurement that takes in speed entries in a tick, of a leader that gets load in one.
type server struct {
	Progress
	last        uint64 // the end of the leader's log
	speed, load uint64
	mute        bool
}

func newServer(last, speed, load uint64) *server {
	s := &server{last: last, speed: speed, load: load}
	s.AckedRound = 7
	s.BeginCatchUp(last, 8)
	return s
}

// run ticks until the result is another than CatchingUp, and returns it and how many ticks that took.
func (s *server) run(t *testing.T, limit int) (CatchUpResult, int) {
	t.Helper()
	for n := 1; n <= limit; n++ {
		if !s.mute {
			s.AckedRound = uint64(8 + n)
			s.Match = min(s.last, s.Match+s.speed)
		}
		if result := s.TickCatchUp(s.last, 1, catchUpLimits); result != CatchingUp {
			return result, n
		}
		s.last += s.load
	}
	return CatchingUp, limit
}

// Dissertation §4.2.1: a round takes in what the log held at its start; the server can vote after a round that is shorter than an
// election timeout, whatever came in during it.
func TestCatchUpByRounds(t *testing.T) {
	s := newServer(100, 10, 1)
	result, ticks := s.run(t, 100)
	require.Equal(t, CaughtUp, result)
	// 100 entries take 10 ticks, in which 10 came: 1 more tick.
	require.Equal(t, 11, ticks)
	require.Equal(t, 2, s.CatchUp.Round)
	require.Equal(t, 1, s.CatchUp.LastTicks)

	s = newServer(40, 10, 9)
	result, ticks = s.run(t, 100)
	require.Equal(t, CaughtUp, result)
	require.Equal(t, 4, ticks, "the first round is short already")
	require.Equal(t, 1, s.CatchUp.Round)
}

// Dissertation §4.2.1: after a fixed number of rounds the change is given up; the last one decides.
func TestCatchUpTooSlow(t *testing.T) {
	s := newServer(100, 10, 10)
	result, ticks := s.run(t, 100)
	require.Equal(t, TooSlow, result)
	require.Equal(t, 28, ticks, "rounds of ten, nine and nine ticks")

	// Slower than it grows, but the third round is short: 100 entries, then 60, then 40.
	s = newServer(100, 10, 6)
	result, _ = s.run(t, 100)
	require.Equal(t, CaughtUp, result)
	require.Equal(t, 3, s.CatchUp.Round)

	s = newServer(1000, 10, 0)
	result, ticks = s.run(t, 100)
	require.Equal(t, TooSlow, result)
	require.Equal(t, catchUpLimits.MaxTicks, ticks, "no round may be so long")
}

// Dissertation §4.2.1: a server that is unavailable is given up after an election timeout, also if it holds all that there is.
func TestCatchUpNoAnswer(t *testing.T) {
	s := newServer(100, 10, 0)
	s.mute = true
	result, ticks := s.run(t, 100)
	require.Equal(t, NoAnswer, result)
	require.Equal(t, 5, ticks)

	s = newServer(100, 10, 0)
	s.Match = 100
	s.BeginCatchUp(100, 8)
	s.mute = true
	result, ticks = s.run(t, 100)
	require.Equal(t, NoAnswer, result, "an acknowledgement of long ago is no sign of life")
	require.Equal(t, 5, ticks)

	s = newServer(100, 0, 0)
	result, _ = s.run(t, 100)
	require.Equal(t, NoAnswer, result, "answers to heartbeats are no progress while entries are missing")

	// One that lost touch after it had caught up.
	s = newServer(100, 50, 0)
	result, _ = s.run(t, 100)
	require.Equal(t, CaughtUp, result)
	s.mute = true
	result = CaughtUp
	for n := 0; n < 5 && result == CaughtUp; n++ {
		result = s.TickCatchUp(s.last, 1, catchUpLimits)
	}
	require.Equal(t, NoAnswer, result)
}

// A server that waits for a snapshot acknowledges no entries. It is alive as long as it answers heartbeats.
func TestCatchUpBySnapshot(t *testing.T) {
	for _, wait := range []func(*server){
		func(s *server) { s.SentSnapshot(90) },
		func(s *server) { s.NeedsSnapshot = true },
	} {
		s := newServer(100, 0, 0)
		wait(s)
		result, _ := s.run(t, 20)
		require.Equal(t, CatchingUp, result)
		s.Match, s.State, s.NeedsSnapshot = 90, Replicate, false
		s.speed = 10
		result, ticks := s.run(t, 20)
		require.Equal(t, CaughtUp, result)
		require.Equal(t, 2, ticks, "the round with the snapshot was a long one, so there is another")
	}
	s := newServer(100, 0, 0)
	s.SentSnapshot(90)
	s.mute = true
	result, ticks := s.run(t, 20)
	require.Equal(t, NoAnswer, result)
	require.Equal(t, 5, ticks)

	s = newServer(100, 0, 0)
	s.SentSnapshot(90)
	result, ticks = s.run(t, 100)
	require.Equal(t, TooSlow, result, "the snapshot never arrives")
	require.Equal(t, catchUpLimits.MaxTicks, ticks)
}

// Rounds after it has caught up watch that it keeps up, and those that are too long count.
func TestCatchUpFallsBehindAgain(t *testing.T) {
	s := newServer(10, 10, 20)
	result, _ := s.run(t, 10)
	require.Equal(t, CaughtUp, result)
	for n := range 100 {
		s.AckedRound++
		s.Match = min(s.last, s.Match+s.speed)
		if result = s.TickCatchUp(s.last, 1, catchUpLimits); result == TooSlow {
			require.Greater(t, n, 10)
			break
		}
		s.last += s.load
	}
	require.Equal(t, TooSlow, result, "it falls behind for good")
}

// One that has caught up and needs longer than an election timeout for a later round cannot vote until it keeps up again: rounds
// before the last do not count (dissertation §4.2.1).
func TestCatchUpIsForTheLastRound(t *testing.T) {
	s := newServer(10, 10, 0)
	result, _ := s.run(t, 10)
	require.Equal(t, CaughtUp, result)
	s.last, s.speed = 30, 3
	for n := range 8 {
		s.AckedRound++
		s.Match = min(s.last, s.Match+s.speed)
		result = s.TickCatchUp(s.last, 1, catchUpLimits)
		if n >= 5 && n < 7 {
			require.Equal(t, CatchingUp, result, "%d: %v", n, s.CatchUp)
		}
	}
	s.speed = 100
	result, _ = s.run(t, 10)
	require.Equal(t, CaughtUp, result)
}

// While the leader is out of touch with its group nobody is given up.
func TestCatchUpWithoutTouch(t *testing.T) {
	s := newServer(100, 10, 0)
	for range 30 {
		require.Equal(t, CatchingUp, s.TickCatchUp(s.last, 0, catchUpLimits))
	}
	for range 4 {
		require.Equal(t, CatchingUp, s.TickCatchUp(s.last, 1, catchUpLimits))
	}
	require.Equal(t, NoAnswer, s.TickCatchUp(s.last, 1, catchUpLimits))
}

// A server that installs the snapshot, which the host has reported, acknowledges nothing meanwhile.
func TestCatchUpInstallsASnapshot(t *testing.T) {
	for _, arrived := range []bool{true, false} {
		s := newServer(100, 0, 0)
		s.SentSnapshot(90)
		s.SnapshotDone(arrived)
		want := NoAnswer
		if arrived {
			want = CatchingUp
		}
		result, _ := s.run(t, 20)
		require.Equal(t, want, result)
		if !arrived {
			continue
		}
		s.Match = 90
		result, ticks := s.run(t, 20)
		require.Equal(t, NoAnswer, result, "entries are missing again")
		require.Equal(t, 6, ticks)
	}
}
