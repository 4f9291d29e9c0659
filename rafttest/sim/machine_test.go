package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func randomCommand(r *random) command {
	return command{
		client: uint8(r.below(maxClients)), kind: pick(r, opWrite, opCompareAndSet), reg: uint8(r.below(numRegisters)),
		seq: uint64(r.below(40)), gen: uint64(r.below(3)), value: uint64(1 + r.below(5)), expect: uint64(r.below(5)),
	}
}

// Commands and states are read back as they were written.
func TestMachineRoundTrip(t *testing.T) {
	t.Parallel()
	r := newRandom(1, 1)
	var m machine
	require.Equal(t, m, decodeMachine(nil))
	for i := range uint64(500) {
		c := randomCommand(r)
		decoded, ok := decodeCommand(c.encode())
		require.True(t, ok)
		require.Equal(t, c, decoded)
		m.apply(&c)
		m.applied, m.digest = i, r.Uint64()
		data := m.encode()
		require.Len(t, data, machineSize)
		require.Equal(t, m, decodeMachine(data))
		require.Empty(t, userPart(data))
		require.Equal(t, []byte("own"), userPart(append(data, "own"...)))
	}
	require.Empty(t, userPart(nil))
}

// Only what a client here wrote is taken for its command.
func TestDecodeCommand(t *testing.T) {
	t.Parallel()
	c := command{client: 1, kind: opWrite, reg: 2}
	good := c.encode()
	change := func(i int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[i] = to
		return b
	}
	for _, bad := range [][]byte{
		nil, filler, good[:len(good)-1], append(append([]byte(nil), good...), 0),
		change(0, userMark), change(1, maxClients), change(3, numRegisters),
	} {
		_, ok := decodeCommand(bad)
		require.False(t, ok, "%q", bad)
	}
}

// A command that is proposed again takes effect once and is answered as at first;
// one that its client no longer waits for has no effect (dissertation §6.3).
func TestMachineAppliesOnce(t *testing.T) {
	t.Parallel()
	var m machine
	set := command{client: 1, kind: opCompareAndSet, reg: 1, seq: 1, value: 5}
	a, first := m.apply(&set)
	require.True(t, first)
	require.Equal(t, answer{done: true, ok: true}, a)
	other := command{client: 2, kind: opWrite, reg: 1, seq: 1, value: 6}
	_, first = m.apply(&other)
	require.True(t, first, "another client's")

	a, first = m.apply(&set)
	require.False(t, first)
	require.Equal(t, answer{done: true, ok: true}, a)
	next := command{client: 1, kind: opWrite, reg: 2, seq: 2, value: 7}
	m.apply(&next)
	a, first = m.apply(&set)
	require.False(t, first)
	require.Equal(t, answer{}, a)
	value, ok := m.read(1, 0)
	require.True(t, ok)
	require.Equal(t, uint64(6), value)
}

// A compare-and-set takes effect if the register is what it expects, and tells.
func TestMachineCompareAndSet(t *testing.T) {
	t.Parallel()
	var m machine
	for i, tc := range []struct {
		expect, value uint64
		ok            bool
		want          uint64
	}{{0, 3, true, 3}, {0, 4, false, 3}, {3, 4, true, 4}, {4, 4, true, 4}, {3, 9, false, 4}} {
		c := command{kind: opCompareAndSet, seq: uint64(i + 1), expect: tc.expect, value: tc.value}
		a, _ := m.apply(&c)
		require.Equal(t, answer{done: true, ok: tc.ok}, a, "%d", i)
		value, _ := m.read(0, 0)
		require.Equal(t, tc.want, value)
	}
}

// The first operation of a generation resets its register, late ones of an older
// generation have no effect, and reads see their own generation only.
func TestMachineGenerations(t *testing.T) {
	t.Parallel()
	var m machine
	read := func(gen uint64) (uint64, bool) { return m.read(3, gen) }
	apply := func(seq, gen, value uint64) answer {
		a, _ := m.apply(&command{kind: opWrite, reg: 3, seq: seq, gen: gen, value: value})
		return a
	}
	require.Equal(t, answer{done: true, ok: true}, apply(1, 0, 5))
	require.Equal(t, answer{done: true, ok: true}, apply(2, 2, 6))
	require.Equal(t, answer{}, apply(3, 1, 7), "over")
	for gen, want := range map[uint64]struct {
		value uint64
		ok    bool
	}{0: {}, 1: {}, 2: {6, true}, 3: {0, true}} {
		value, ok := read(gen)
		require.Equal(t, want.ok, ok, "%d", gen)
		require.Equal(t, want.value, value)
	}
	a, _ := m.apply(&command{kind: opCompareAndSet, reg: 3, seq: 4, gen: 4, expect: 0, value: 8})
	require.True(t, a.ok, "a new generation begins at 0")
}
