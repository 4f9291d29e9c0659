package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// logModel drives a raftLog as a node and its host do, beside a plain slice
// that holds the truth. Entries are told apart by their data.
type logModel struct {
	t   *testing.T
	rnd *rand.Rand
	l   *raftLog
	ms  *MemoryStorage

	truth    []pb.Entry // truth[i] has index i
	disk     []pb.Entry // what the acknowledged writes left
	snapshot uint64     // index of the newest snapshot restored
	writes   []modelWrite
	written  int // how many of writes are in ms
	made     int
	restores bool
	handed   []handedOut
}

type modelWrite struct {
	snap *pb.Snapshot
	ents []pb.Entry
	full []pb.Entry // the log at the snapshot
}

// handedOut is a slice that somebody else holds, and what was in it.
type handedOut struct{ held, copied []pb.Entry }

func newLogModel(t *testing.T, seed uint64) *logModel {
	ms := NewMemoryStorage()
	l, err := newLog(ms, pb.HardState{}, 0)
	require.NoError(t, err)
	zero := []pb.Entry{{}}
	return &logModel{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), l: l, ms: ms, truth: zero, disk: zero}
}

func (m *logModel) last() pb.Entry { return m.truth[len(m.truth)-1] }

func (m *logModel) entries(after pb.Entry, n int, terms int) []pb.Entry {
	ents := make([]pb.Entry, n)
	term := max(after.Term, 1)
	for i := range ents {
		term += uint64(m.rnd.IntN(terms))
		m.made++
		ents[i] = pb.Entry{Term: term, Index: after.Index + 1 + uint64(i), Data: fmt.Appendf(nil, "%d", m.made)}
		if m.rnd.IntN(8) == 0 {
			ents[i].Type = pb.EntryConfChangeV2
		}
	}
	return ents
}

func (m *logModel) append() {
	n := 1 + m.rnd.IntN(6)
	if m.rnd.IntN(5) == 0 {
		n += minAdopted
	}
	ents := m.entries(m.last(), n, 1+m.rnd.IntN(3))
	m.l.append(ents)
	m.truth = append(m.truth, ents...)
}

// truncate replaces the end of the log as a new leader does.
func (m *logModel) truncate() {
	last := m.last()
	if last.Index == m.l.committed {
		return
	}
	at := m.truth[m.l.committed+uint64(m.rnd.IntN(int(last.Index-m.l.committed)))]
	m.l.truncate(entryID{at.Term, at.Index})
	m.truth = slices.Clone(m.truth[:at.Index+1])
	after := at
	after.Term = last.Term + 1
	ents := m.entries(after, 1+m.rnd.IntN(4), 2)
	m.l.append(ents)
	m.truth = append(m.truth, ents...)
}

func (m *logModel) commit() {
	if room := m.last().Index - m.l.committed; room > 0 {
		m.l.commitTo(m.l.committed + 1 + uint64(m.rnd.IntN(int(room))))
	}
}

// submit is what Ready does.
func (m *logModel) submit() {
	l := m.l
	before := l.applying
	committed, err := l.nextCommitted(uint64(1 + m.rnd.IntN(100)))
	require.NoError(m.t, err)
	if n := uint64(len(committed)); n > 0 {
		require.Equal(m.t, m.truth[before+1:before+1+n], committed)
		require.LessOrEqual(m.t, before+n, l.durable, "applied before it is durable")
		require.Nil(m.t, l.snapshot)
		l.handOut(committed)
		require.Equal(m.t, before+n, l.applying)
		m.hold(committed)
	}
	var w modelWrite
	if l.submitted < l.last.index && l.last.index >= l.offset {
		w.ents = l.unstable.slice(max(l.submitted+1, l.offset), l.last.index+1, noLimit)
		require.Equal(m.t, m.truth[w.ents[0].Index:], w.ents)
		m.hold(w.ents)
	}
	if l.snapshot != nil && !l.snapshotHandedOut {
		w.snap = l.snapshot
		w.full = slices.Clone(m.truth[:l.snapshot.Metadata.Index+1])
	}
	l.submit(&batch{})
	m.writes = append(m.writes, w)
}

func (m *logModel) hold(ents []pb.Entry) {
	if len(ents) > 0 {
		m.handed = append(m.handed, handedOut{ents, slices.Clone(ents)})
	}
}

// persist writes what is oldest, without saying so.
func (m *logModel) persist() {
	if m.written == len(m.writes) {
		return
	}
	w := m.writes[m.written]
	m.written++
	if w.snap != nil {
		require.NoError(m.t, m.ms.ApplySnapshot(*w.snap))
	}
	require.NoError(m.t, m.ms.Append(w.ents))
}

func (w modelWrite) onto(disk []pb.Entry) []pb.Entry {
	if w.snap != nil {
		disk = w.full
	}
	if len(w.ents) > 0 {
		disk = append(slices.Clone(disk[:w.ents[0].Index]), w.ents...)
	}
	return disk
}

func (m *logModel) acknowledge() {
	if len(m.writes) == 0 {
		return
	}
	if m.written == 0 {
		m.persist()
	}
	m.disk = m.writes[0].onto(m.disk)
	m.writes = m.writes[1:]
	m.written--
	m.l.acknowledge()
}

func (m *logModel) apply() {
	if room := m.l.applying - m.l.applied; room > 0 {
		m.l.appliedTo(m.l.applied + 1 + uint64(m.rnd.IntN(int(room))))
	}
}

func (m *logModel) restore() {
	after := m.truth[m.l.committed]
	index := m.l.committed + 1 + uint64(m.rnd.IntN(8))
	m.truth = slices.Clone(m.truth[:m.l.committed+1])
	term := m.l.last.term + uint64(m.rnd.IntN(2))
	for i := after.Index + 1; i <= index; i++ {
		m.truth = append(m.truth, pb.Entry{Term: max(term, 1), Index: i, Data: []byte("from elsewhere")})
	}
	m.snapshot = index
	m.l.restore(&pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: index, Term: max(term, 1)}})
}

func (m *logModel) compact() {
	first, err := m.ms.FirstIndex()
	require.NoError(m.t, err)
	if to := m.l.applied; to >= first && m.l.snapshot == nil && m.written == 0 {
		require.NoError(m.t, m.ms.Compact(first+uint64(m.rnd.IntN(int(to-first+1)))))
	}
}

func (m *logModel) step() {
	switch n := m.rnd.IntN(100); {
	case n < 20:
		m.append()
	case n < 30:
		m.truncate()
	case n < 45:
		m.commit()
	case n < 65:
		m.submit()
	case n < 70:
		m.persist()
	case n < 85:
		m.acknowledge()
	case n < 94:
		m.apply()
	case n < 96 && m.restores:
		m.restore()
	default:
		m.compact()
	}
}

func (m *logModel) check() {
	t, l := m.t, m.l
	l.check()
	last := m.last()
	require.Equal(t, entryID{last.Term, last.Index}, l.last)
	confs := []uint64{}
	for i := max(l.applied, m.snapshot) + 1; i <= last.Index; i++ {
		if isConfEntry(m.truth[i].Type) {
			confs = append(confs, i)
		}
	}
	require.Equal(t, confs, append([]uint64{}, l.confs...))
	m.checkDurable()
	m.checkReads()
}

// checkDurable: what counts as durable is on disk whichever of the writes that
// are not acknowledged got there (in their order), and is all there is once all
// are acknowledged.
func (m *logModel) checkDurable() {
	disk := m.disk
	for i := 0; ; i++ {
		require.GreaterOrEqual(m.t, uint64(len(disk)-1), m.l.durable)
		for j := uint64(0); j <= m.l.durable; j++ {
			if string(disk[j].Data) != string(m.truth[j].Data) {
				require.Failf(m.t, "a replaced entry counts as durable", "%d of %d", j, m.l.durable)
			}
		}
		if i == len(m.writes) {
			break
		}
		disk = m.writes[i].onto(disk)
	}
	if len(m.writes) == 0 && m.l.submitted == m.l.last.index && m.l.snapshot == nil {
		require.Equal(m.t, m.l.last.index, m.l.durable)
	}
}

// checkReads: terms, slices and the search for an agreement equal what the
// plain slice gives.
func (m *logModel) checkReads() {
	t, l, last := m.t, m.l, m.last().Index
	first, err := l.firstIndex()
	require.NoError(t, err)
	for i := uint64(0); i <= last; i++ {
		term, err := l.term(i)
		switch {
		case err == nil:
			require.Equal(t, m.truth[i].Term, term, "term of %d", i)
		case i+1 >= first || !errors.Is(err, ErrCompacted):
			require.NoError(t, err, "term of %d, first %d", i, first)
		}
	}
	_, err = l.term(last + 1)
	require.ErrorIs(t, err, ErrUnavailable)

	if first <= last {
		lo := first + uint64(m.rnd.IntN(int(last-first+1)))
		hi := lo + 1 + uint64(m.rnd.IntN(int(last-lo+1)))
		ents, err := l.slice(lo, hi, uint64(m.rnd.IntN(200)))
		require.NoError(t, err)
		require.NotEmpty(t, ents)
		require.Equal(t, m.truth[lo:lo+uint64(len(ents))], ents)
		require.LessOrEqual(t, lo+uint64(len(ents)), hi)
		if lo < l.offset {
			require.LessOrEqual(t, lo+uint64(len(ents)), l.durable+1, "copied together")
		}
		m.hold(ents)
	}
	if first > 1 {
		_, err := l.slice(first-1, first, noLimit)
		require.ErrorIs(t, err, ErrCompacted)
	}

	index, term := uint64(m.rnd.IntN(int(last)+3)), uint64(m.rnd.IntN(int(m.last().Term)+2))
	at, atTerm, err := l.agreement(index, term)
	require.NoError(t, err)
	want := min(index, last)
	for want > 0 && m.truth[want].Term > term {
		want--
	}
	if want+1 >= first {
		require.Equal(t, entryID{m.truth[want].Term, want}, entryID{atTerm, at}, "agreement(%d, %d)", index, term)
	} else {
		require.Less(t, at+1, first)
		require.LessOrEqual(t, at, index)
		if atTerm != 0 {
			require.Equal(t, m.truth[at].Term, atTerm)
		}
	}
}

func (m *logModel) checkHanded() {
	for _, h := range m.handed {
		require.Equal(m.t, h.copied, h.held, "an array that was handed out changed")
	}
	m.handed = nil
}

// The log equals a plain slice under any order of appends, truncations,
// snapshots, writes and their late acknowledgements: cursors stay in order
// (applied ≤ applying ≤ committed ≤ last, durable ≤ submitted ≤ last), a late
// acknowledgement never makes a replaced entry durable, nothing is applied that
// is not durable, and what was handed out never changes (Raft figure 2, §5.3).
func TestLogIsASlice(t *testing.T) {
	runs := 0
	for seed := range uint64(60) {
		m := newLogModel(t, seed)
		m.restores = seed%3 != 0
		for i := range 250 {
			m.step()
			m.check()
			if i%50 == 49 {
				m.checkHanded()
			}
			runs = max(runs, len(m.l.terms.runs))
		}
		m.checkHanded()
	}
	require.Equal(t, maxTermRuns, runs, "the bound on known terms was never reached")
}

// A late acknowledgement counts only for what was not replaced since: of
// [1 2 3] written, 2 and 3 replaced, 1 is durable, and the rest only once the
// second write is (the ABA of an overwritten suffix).
func TestLateAcknowledgementOfAReplacedSuffix(t *testing.T) {
	l, err := newLog(NewMemoryStorage(), pb.HardState{}, 0)
	require.NoError(t, err)
	l.append([]pb.Entry{{Term: 1, Index: 1}, {Term: 1, Index: 2}, {Term: 1, Index: 3}})
	l.submit(&batch{})
	l.truncate(entryID{1, 1})
	l.append([]pb.Entry{{Term: 2, Index: 2}, {Term: 2, Index: 3}})
	l.submit(&batch{})
	l.acknowledge()
	require.Equal(t, uint64(1), l.durable)
	l.acknowledge()
	require.Equal(t, uint64(3), l.durable)
}

// The terms of entries that are not durable come from the entries, however many
// terms there are: Storage does not hold them, or holds what they replaced.
func TestTermOfManyUnstableTerms(t *testing.T) {
	ms := NewMemoryStorage()
	const n = 3 * maxTermRuns
	old := make([]pb.Entry, n)
	for i := range old {
		old[i] = pb.Entry{Term: 1, Index: uint64(i + 1)}
	}
	require.NoError(t, ms.Append(old))
	l, err := newLog(ms, pb.HardState{Term: 1}, 0)
	require.NoError(t, err)
	l.truncate(entryID{1, 1})
	for i := uint64(2); i <= 2*n; i++ {
		l.append([]pb.Entry{{Term: i, Index: i}})
	}
	for i := uint64(1); i <= 2*n; i++ {
		term, err := l.term(i)
		require.NoError(t, err)
		require.Equal(t, i, term)
	}
	ok, err := l.matches(entryID{1, 5})
	require.NoError(t, err)
	require.False(t, ok, "the replaced entry still matches")
}

// A snapshot that is not persisted yet is the entry before its log, whose term
// must be known to check what follows (Raft §7).
func TestTermOfThePendingSnapshot(t *testing.T) {
	l, err := newLog(NewMemoryStorage(), pb.HardState{}, 0)
	require.NoError(t, err)
	l.restore(&pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 10, Term: 2}})
	for i := uint64(11); i <= 11+2*maxTermRuns; i++ {
		l.append([]pb.Entry{{Term: i, Index: i}})
	}
	term, err := l.term(10)
	require.NoError(t, err)
	require.Equal(t, uint64(2), term)
	_, err = l.term(9)
	require.ErrorIs(t, err, ErrCompacted)
}

// The core's own mistakes panic and name the values.
func TestLogAssertsItsCursors(t *testing.T) {
	fresh := func() *raftLog {
		l, err := newLog(NewMemoryStorage(), pb.HardState{}, 0)
		require.NoError(t, err)
		l.append([]pb.Entry{{Term: 1, Index: 1}, {Term: 1, Index: 2}})
		l.commitTo(1)
		return l
	}
	for name, wrong := range map[string]func(l *raftLog){
		"gap":                      func(l *raftLog) { l.append([]pb.Entry{{Term: 1, Index: 4}}) },
		"truncation of committed":  func(l *raftLog) { l.truncate(entryID{0, 0}) },
		"commit past the end":      func(l *raftLog) { l.commitTo(3) },
		"older snapshot":           func(l *raftLog) { l.restore(&pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1}}) },
		"slice past the end":       func(l *raftLog) { _, _ = l.slice(1, 4, noLimit) },
		"applied before handed":    func(l *raftLog) { l.appliedTo(1) },
		"applying before durable":  func(l *raftLog) { l.applying = 1; l.check() },
		"durable before submitted": func(l *raftLog) { l.durable = 1; l.check() },
	} {
		t.Run(name, func(t *testing.T) { require.Panics(t, func() { wrong(fresh()) }) })
	}
	require.False(t, fresh().commitTo(1))
}
