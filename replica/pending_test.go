package replica

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

func newTestPending(t *testing.T) (*pending, func() *proposal) {
	c := Config{}.withDefaults()
	c.MaxPending = 4
	c.MaxPendingBytes = 100
	ps := newPending(&c, 99)
	return ps, func() *proposal {
		p := &proposal{done: make(chan struct{}, 1), data: make([]byte, headerSize), bytes: headerSize}
		require.NoError(t, ps.add(p))
		return p
	}
}

func isDecided(p *proposal) bool { return p.stage == decided && len(p.done) == 1 }

// A proposal's outcome is its own result, whatever else is applied, in whatever
// place its entry is.
func TestPendingResult(t *testing.T) {
	ps, add := newTestPending(t)
	mine, passedOn, other := add(), add(), add()
	ps.handed(mine, 10, 2, 0)
	ps.handed(passedOn, 0, 2, 0)
	ps.handed(other, 12, 2, 0)
	ps.settle([]applied{{id: mine.id, index: 10, result: "a"}, {id: passedOn.id, index: 11, result: "b"}})
	require.True(t, isDecided(mine) && isDecided(passedOn))
	require.Equal(t, []any{"a", "b"}, []any{mine.result, passedOn.result})
	require.NoError(t, errors.Join(mine.err, passedOn.err))
	require.False(t, isDecided(other))
	count, bytes := ps.counts()
	require.Equal(t, 1, count)
	require.EqualValues(t, headerSize, bytes)
}

// An entry whose place another one took is certain never to be applied, as this
// node appended it nowhere else (Raft §5.3, log matching); that goes for its own
// entries alone.
func TestPendingReplaced(t *testing.T) {
	ps, add := newTestPending(t)
	mine, passedOn := add(), add()
	ps.handed(mine, 10, 2, 0)
	ps.handed(passedOn, 0, 2, 0)
	ps.settle([]applied{{id: proposalID{98, mine.id.seq}, index: 10, result: "of another origin"}})
	require.ErrorIs(t, mine.err, ErrNotApplied)
	require.NotErrorIs(t, mine.err, ErrAmbiguous)
	require.False(t, isDecided(passedOn))
	ps.newTerm(2)
	require.False(t, isDecided(passedOn), "its leader leads on")
	ps.newTerm(3)
	require.ErrorIs(t, passedOn.err, ErrAmbiguous)
}

// Who gives up before the node has taken a proposal knows that it is not applied;
// afterwards nobody knows.
func TestPendingGiveUp(t *testing.T) {
	ps, add := newTestPending(t)
	why := errors.New("why")
	early, late, decided := add(), add(), add()
	ps.handed(late, 10, 2, 0)
	ps.handed(decided, 11, 2, 0)
	_, err := ps.giveUp(early, why)
	require.ErrorIs(t, err, ErrNotApplied)
	require.ErrorIs(t, err, why)
	_, err = ps.giveUp(late, why)
	require.ErrorIs(t, err, ErrAmbiguous)
	ps.settle([]applied{{id: late.id, index: 10}, {id: decided.id, index: 11, result: 5}})
	result, err := ps.giveUp(decided, why)
	require.NoError(t, err, "it was decided just before")
	require.Equal(t, 5, result)
	count, bytes := ps.counts()
	require.Zero(t, count)
	require.Zero(t, bytes)
}

// A snapshot that covers a proposal's place hides whether it was applied.
func TestPendingSkipped(t *testing.T) {
	ps, add := newTestPending(t)
	before, after := add(), add()
	ps.handed(before, 10, 2, 0)
	ps.handed(after, 11, 2, 0)
	ps.skipped(10)
	require.ErrorIs(t, before.err, ErrAmbiguous)
	require.False(t, isDecided(after))
}

// Too much that waits is refused with an error that says so, and is certain not to
// be applied; one proposal of any size always passes.
func TestPendingOverload(t *testing.T) {
	ps, add := newTestPending(t)
	for range 4 {
		add()
	}
	err := ps.add(&proposal{done: make(chan struct{}, 1)})
	require.ErrorIs(t, err, ErrOverloaded)
	require.ErrorIs(t, err, ErrNotApplied)
	require.False(t, ps.admitRead(), "reads count too")

	ps, _ = newTestPending(t)
	big := &proposal{done: make(chan struct{}, 1), bytes: 1000}
	require.NoError(t, ps.add(big))
	require.ErrorIs(t, ps.add(&proposal{done: make(chan struct{}, 1), bytes: 1}), ErrOverloaded)
	ps.decide(big, nil, errors.New("no"))
	require.NoError(t, ps.add(&proposal{done: make(chan struct{}, 1), bytes: 1}))
}

// A stopped replica leaves nobody waiting, and says what it knows.
func TestPendingStop(t *testing.T) {
	ps, add := newTestPending(t)
	early, late := add(), add()
	ps.handed(late, 10, 2, 0)
	ps.stop(ErrStopped)
	require.ErrorIs(t, early.err, ErrNotApplied)
	require.ErrorIs(t, late.err, ErrAmbiguous)
	require.ErrorIs(t, late.err, ErrStopped)
	require.ErrorIs(t, ps.add(&proposal{done: make(chan struct{}, 1)}), ErrNotApplied)
}

// The header names the proposal; bytes of other hosts have none and stay whole.
func TestCommandHeader(t *testing.T) {
	id := proposalID{1 << 63, 7}
	got, data := decodeHeader(encodeCommand(id, []byte("command")))
	require.Equal(t, id, got)
	require.Equal(t, "command", string(data))
	for _, foreign := range []string{"", "x", "a longer command without any header", "\x9eqr\x02 another version of the header"} {
		got, data = decodeHeader([]byte(foreign))
		require.Zero(t, got)
		require.Equal(t, foreign, string(data))
	}
	cc := pb.ConfChangeV2{Context: encodeCommand(id, nil)}
	b, err := cc.Marshal()
	require.NoError(t, err)
	got, _ = idOf(&pb.Entry{Type: pb.EntryConfChangeV2, Data: b})
	require.Equal(t, id, got)
	got, _ = idOf(&pb.Entry{Type: pb.EntryConfChangeV2, Data: []byte("\xff")})
	require.Zero(t, got)
}

// Who gives up while the loop hands a proposal to the node is told what the node did,
// not what was before.
func TestPendingGiveUpWhileHanded(t *testing.T) {
	for why, want := range map[error]error{nil: ErrAmbiguous, raft.ErrNoLeader: ErrNotApplied, raft.ErrTransferring: ErrNotApplied} {
		ps, add := newTestPending(t)
		p, outcome := add(), make(chan error, 1)
		settled := ps.hand(p, 0, func(p *proposal) (index, term uint64, err error) {
			go func() {
				_, err := ps.giveUp(p, errors.New("ctx"))
				outcome <- err
			}()
			select {
			case <-outcome:
				t.Error("it is not known yet")
			case <-time.After(10 * time.Millisecond):
			}
			return 10, 2, why
		})
		require.Equal(t, why != raft.ErrNoLeader, settled)
		require.ErrorIs(t, <-outcome, want)
	}
	ps, add := newTestPending(t)
	p := add()
	_, err := ps.giveUp(p, errors.New("ctx"))
	require.ErrorIs(t, err, ErrNotApplied)
	require.Nil(t, p.data, "what is not proposed is not kept")
	require.True(t, ps.hand(p, 0, func(*proposal) (index, term uint64, err error) {
		t.Error("it must not be proposed")
		return 0, 0, nil
	}))
}

// A node that led twice may have appended two proposals at one place. Either may still
// be committed there (Raft figure 8), so both wait for what is.
func TestPendingOnePlaceTwice(t *testing.T) {
	for _, won := range []int{0, 1, 2} {
		ps, add := newTestPending(t)
		both := []*proposal{add(), add(), add()}
		for i, p := range both {
			ps.handed(p, 10, uint64(2+2*i), 0)
		}
		require.False(t, isDecided(both[0]) || isDecided(both[1]) || isDecided(both[2]))
		_, _ = ps.giveUp(both[(won+1)%3], errors.New("why"))
		ps.settle([]applied{{id: both[won].id, index: 10, result: "result"}})
		require.NoError(t, both[won].err)
		require.Equal(t, "result", both[won].result)
		require.ErrorIs(t, both[(won+1)%3].err, ErrAmbiguous)
		require.ErrorIs(t, both[(won+2)%3].err, ErrNotApplied)
		require.Empty(t, ps.byIndex)
	}
}

// A snapshot may hide what became of a command that was passed on, wherever its
// place is; nor does one hear of it that was lost, or refused by the leader.
func TestPendingPassedOn(t *testing.T) {
	ps, add := newTestPending(t)
	p := add()
	ps.handed(p, 0, 2, 5)
	ps.skipped(10)
	require.ErrorIs(t, p.err, ErrAmbiguous)

	p, inLog := add(), add()
	ps.handed(p, 0, 2, 5)
	ps.handed(inLog, 11, 2, 5)
	ps.expire(5)
	require.False(t, isDecided(p))
	ps.expire(6)
	require.ErrorIs(t, p.err, ErrAmbiguous)
	require.False(t, isDecided(inLog), "its place will be taken")
}

// A proposal that was passed on and refused has an outcome, if it is this replica's: of
// no other life, and not one that this node has appended itself.
func TestPendingRefused(t *testing.T) {
	for _, atMostOnce := range []bool{true, false} {
		ps, add := newTestPending(t)
		p, inLog, other := add(), add(), add()
		change := &proposal{done: make(chan struct{}, 1), conf: &pb.ConfChangeV2{}}
		require.NoError(t, ps.add(change))
		ps.handed(p, 0, 2, 5)
		ps.handed(inLog, 11, 2, 5)
		ps.handed(other, 0, 2, 5)
		ps.handed(change, 0, 2, 5)
		why := &raft.ConfChangeError{Index: 9, Reason: raft.ErrConfChangePending}
		entry := func(id proposalID) pb.Entry { return pb.Entry{Data: encodeCommand(id, []byte("x"))} }
		data, err := (&pb.ConfChangeV2{Context: encodeCommand(change.id, nil)}).Marshal()
		require.NoError(t, err)
		ps.refused([]raft.Refusal{
			{Err: why, Entries: []pb.Entry{entry(proposalID{ps.origin + 1, other.id.seq}), {}, {Type: 9}, entry(proposalID{ps.origin, 99})}},
			{Err: why},
			{Err: why, Entries: []pb.Entry{entry(inLog.id), entry(p.id), entry(p.id)}},
			{Err: why, Entries: []pb.Entry{{Type: pb.EntryConfChangeV2, Data: data}}},
		}, atMostOnce)
		for _, p := range []*proposal{p, change} {
			require.True(t, isDecided(p))
			require.ErrorIs(t, p.err, raft.ErrConfChangePending)
			require.Equal(t, atMostOnce, errors.Is(p.err, ErrNotApplied))
			require.Equal(t, !atMostOnce, errors.Is(p.err, ErrAmbiguous))
		}
		require.False(t, isDecided(inLog), "its place will be taken")
		require.False(t, isDecided(other))
	}
}

// While there is no leader, what callers gave up does not pile up.
func TestPendingPrune(t *testing.T) {
	ps, add := newTestPending(t)
	var queue []*proposal
	for range 1000 {
		p := add()
		queue = ps.prune(append(queue, p))
		_, _ = ps.giveUp(p, errors.New("why"))
		require.Less(t, len(queue), 100)
	}
	p := add()
	require.Contains(t, ps.prune(append(queue, p)), p)
}

// An outcome may be told after the caller has given up and found it. That reaches nobody else: the
// proposal is not used again.
func TestOutcomeThatIsToldLate(t *testing.T) {
	ps, _ := newTestPending(t)
	r := &Replica{in: newAgenda(1), pending: ps}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan chan struct{}, 1)
	go func() {
		for r.in.proposals() == 0 {
			runtime.Gosched()
		}
		p := r.in.work.proposals[0]
		ps.handed(p, 7, 1, 1)
		told <- ps.settled([]applied{{id: p.id, index: 7, result: "mine"}})[0]
		cancel()
	}()
	p := newProposal()
	p.data, p.bytes = make([]byte, headerSize), headerSize
	result, err := r.await(ctx, p)
	require.NoError(t, err)
	require.Equal(t, "mine", result)
	next := newProposal()
	(<-told) <- struct{}{}
	require.Empty(t, next.done)
}
