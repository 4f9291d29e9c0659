package progress

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The ring holds, in order, the messages in flight that a plain slice holds,
// and is full exactly when either bound is reached (dissertation §10.2.1).
func TestWindowIsASlice(t *testing.T) {
	for seed := range uint64(120) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		maxCount, maxBytes := 1+rnd.IntN(20), uint64(rnd.IntN(2)*rnd.IntN(200))
		w := NewWindow(maxCount, maxBytes)
		var naive []inflight
		index := uint64(0)
		for range 300 {
			switch rnd.IntN(12) {
			case 0, 1, 2, 3:
				to := index - min(index, uint64(rnd.IntN(20))) + uint64(rnd.IntN(3))
				w.FreeTo(to)
				for len(naive) > 0 && naive[0].index <= to {
					naive = naive[1:]
				}
			case 4:
				if rnd.IntN(10) == 0 {
					w.Reset()
					naive = nil
				}
			case 5:
				w = w.Clone()
			default:
				if w.Full() {
					require.Panics(t, func() { w.Add(index+1, 1) })
					break
				}
				index += uint64(1 + rnd.IntN(3))
				bytes := uint64(rnd.IntN(50))
				w.Add(index, bytes)
				naive = append(naive, inflight{index, bytes})
			}
			sum := uint64(0)
			for i := range naive {
				require.Equal(t, naive[i], *w.at(i))
				sum += naive[i].bytes
			}
			require.Equal(t, len(naive), w.Count())
			require.Equal(t, sum, w.Bytes())
			require.Equal(t, len(naive) >= maxCount || (maxBytes != 0 && sum >= maxBytes), w.Full())
			require.LessOrEqual(t, len(w.ring), maxCount)
		}
		if len(naive) > 0 && !w.Full() {
			require.Panics(t, func() { w.Add(naive[len(naive)-1].index, 0) }, "an index that does not increase")
		}
	}
}

// A clone shares nothing, and the zero window lets nothing through.
func TestWindowClone(t *testing.T) {
	w := NewWindow(4, 0)
	w.Add(1, 10)
	c := w.Clone()
	c.FreeTo(1)
	c.Add(7, 1)
	require.Equal(t, inflight{1, 10}, *w.at(0))
	count, bytes := c.Limits()
	require.Equal(t, 4, count)
	require.Zero(t, bytes)
	var zero Window
	require.True(t, zero.Full())
}

// follower is the other side of a naive network: a log that agrees with the
// leader's up to agree, and is durable at once.
type follower struct{ agree, last uint64 }

type appendMsg struct {
	prev, last uint64
	snapshot   bool
}

// However messages, answers and reports are lost, delayed and repeated: Match
// stays below Next, never goes back and never exceeds what the follower holds;
// a peer with something to be sent does not wait for ever once heartbeats are
// answered; and when all is acknowledged nothing is in flight (Raft figure 2;
// dissertation §10.2.1).
func TestProgressAgainstALossyFollower(t *testing.T) {
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		last, first := uint64(20+rnd.IntN(20)), uint64(1+rnd.IntN(15))
		f := follower{agree: uint64(rnd.IntN(15))}
		f.last = f.agree + uint64(rnd.IntN(10))
		p := Progress{Next: last + 1, ProbeDue: true, Window: NewWindow(1+rnd.IntN(4), uint64(rnd.IntN(2)*100))}
		match, commit := uint64(0), last-5
		var net []appendMsg
		var answers []struct {
			reject      bool
			index, hint uint64
		}
		check := func() {
			require.Less(t, p.Match, p.Next, p.String())
			require.GreaterOrEqual(t, p.Match, match, "Match went back")
			match = p.Match
			require.LessOrEqual(t, p.Match, f.agree)
			require.LessOrEqual(t, p.Next, last+1)
			before := p
			p.Plan(last, commit)
			require.Equal(t, before, p, "Plan changed something")
		}
		send := func() {
			for range 100 {
				plan := p.Plan(last, commit)
				if plan == SendNothing {
					return
				}
				if plan == SendCommit {
					require.Equal(t, Replicate, p.State)
					p.SentCommit = min(p.Match, commit)
					continue
				}
				if p.Next < first {
					p.SentSnapshot(last - 2)
					net = append(net, appendMsg{last: last - 2, snapshot: true})
					return
				}
				m := appendMsg{prev: p.Next - 1, last: p.Next - 1}
				if plan == SendEntries && p.Next <= last {
					m.last += min(last-p.Next+1, uint64(1+rnd.IntN(4)))
				}
				p.SentEntries(m.last, 10*(m.last-m.prev), commit)
				net = append(net, m)
			}
			t.Fatal("sending does not end")
		}
		deliver := func(m appendMsg) {
			a := struct {
				reject      bool
				index, hint uint64
			}{index: m.last}
			switch {
			case m.snapshot:
				f.agree = max(f.agree, m.last)
				f.last = max(f.last, f.agree)
			case m.prev > f.agree:
				a.reject, a.index, a.hint = true, m.prev, min(f.last, m.prev-uint64(rnd.IntN(2)))
			default:
				f.agree = max(f.agree, m.last)
				f.last = max(f.last, f.agree)
			}
			answers = append(answers, a)
		}
		answer := func(i int) {
			if a := answers[i]; a.reject {
				p.Rejected(a.index, a.hint)
			} else if a.index >= p.Match || p.State == Snapshot {
				p.Acked(a.index, first)
			}
		}
		for range 400 {
			switch rnd.IntN(10) {
			case 0:
				last += uint64(rnd.IntN(3))
				commit = max(commit, last-5)
			case 1:
				p.Answered(last)
			case 2:
				if rnd.IntN(10) == 0 {
					p.Unreachable()
				}
			case 3:
				if rnd.IntN(5) == 0 {
					p.SnapshotDone(rnd.IntN(2) == 0)
				}
			case 4, 5:
				if len(net) > 0 {
					i := rnd.IntN(len(net))
					deliver(net[i])
					if rnd.IntN(4) != 0 {
						net = append(net[:i], net[i+1:]...)
					}
				}
			case 6:
				if len(net) > 0 {
					net = net[1:] // lost
				}
			case 7, 8:
				if len(answers) > 0 {
					i := rnd.IntN(len(answers))
					answer(i)
					if rnd.IntN(4) != 0 {
						answers = append(answers[:i], answers[i+1:]...)
					}
				}
			default:
				send()
			}
			check()
		}
		// The network heals: heartbeats are answered, nothing more is lost, and
		// a snapshot that was lost is reported.
		net, answers = nil, nil
		p.SnapshotDone(false)
		for round := 0; p.Match < last; round++ {
			require.Less(t, round, 300, "the peer waits for ever: %v", &p)
			p.Answered(last)
			send()
			for _, m := range net {
				deliver(m)
			}
			net = nil
			for i := range answers {
				answer(i)
				check()
			}
			answers = nil
		}
		require.Zero(t, p.Window.Count())
		require.Zero(t, p.Window.Bytes())
		send()
		require.Equal(t, commit, p.SentCommit)
	}
}
