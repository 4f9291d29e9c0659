package core

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// alarm is a replica that draws a new deadline whenever one has come, and sometimes when a message comes.
type alarm struct {
	Node[int]
	t     *testing.T
	rnd   *rand.Rand
	ticks int // in all
	left  int // until its deadline
	rang  int
}

func (a *alarm) NextDeadline() (int, bool) { return a.left, a.left > 0 }

func (a *alarm) TickBy(n int) {
	require.Positive(a.t, n)
	if a.ticks += n; a.left == 0 {
		return
	}
	require.LessOrEqual(a.t, n, a.left, "it slept through its deadline")
	if a.left -= n; a.left == 0 {
		a.rang++
		a.draw()
	}
}

func (a *alarm) draw() { a.left = a.rnd.IntN(3 * slots) } // 0: none

func (a *alarm) Step(*int) error {
	a.draw()
	return nil
}

func (a *alarm) Handle(*Net[int]) bool { return false }

// A wheel ticks a replica when its deadline has come and not later, also when that is further off than the wheel looks,
// and when messages move it; a replica has all ticks before it gets a message.
func TestWheel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var w wheel[int]
	var alarms []*alarm
	var groups []*Group[int]
	for range 20 {
		a := &alarm{t: t, rnd: rnd, left: 1 + rnd.IntN(3*slots)}
		g := &Group[int]{Nodes: []Node[int]{a}, Net: newNet[int](nil, 1)}
		require.NoError(t, w.add(g))
		alarms, groups = append(alarms, a), append(groups, g)
	}
	for now := 1; now <= 20*slots; now++ {
		due := -1
		if i := rnd.IntN(len(alarms)); alarms[i].left > 0 && alarms[i].ticks+alarms[i].left == now {
			due = i
		}
		require.NoError(t, w.interval())
		if due >= 0 {
			require.Equal(t, now, alarms[due].ticks, "it was due")
		}
		if i := rnd.IntN(20 * len(alarms)); i < len(alarms) {
			var m int
			groups[i].Net.Send(1, 1, &m)
			require.NoError(t, groups[i].settle(0))
			require.Equal(t, now, alarms[i].ticks)
		}
	}
	for _, a := range alarms {
		require.Positive(t, a.rang)
	}
	require.ErrorIs(t, w.add(&Group[int]{Nodes: []Node[int]{nil}}), errNoClock)
}
