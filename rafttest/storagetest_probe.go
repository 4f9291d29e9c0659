package rafttest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

const noLimit = math.MaxUint64

// probe writes to a storage and to a model of it alike, and compares. What
// differs ends the check.
type probe struct {
	factory func() StorageMedium
	medium  StorageMedium
	s       Storage // nil while closed

	model storageModel
	// since are the states of the model from the last durable one to now.
	since []storageModel
	held  []heldEntries
}

// heldEntries are entries that the storage returned or was given, with a copy.
type heldEntries struct {
	from      string
	ents, was []pb.Entry
}

func (p *probe) failf(format string, args ...any) {
	panic(failure{fmt.Errorf(format, args...)})
}

func (p *probe) must(what string, err error) {
	if err != nil {
		p.failf("%s: %w", what, err)
	}
}

// wantErr fails unless err is the wanted one: nil, a sentinel, or any (errGap).
func (p *probe) wantErr(what string, err, want error) {
	switch {
	case want == nil && err != nil:
		p.failf("%s: %w", what, err)
	case want == nil:
	case err == nil:
		p.failf("%s succeeded, want: %w", what, want)
	case want != errGap && !errors.Is(err, want):
		p.failf("%s: %w, want: %w", what, err, want)
	}
}

// open opens the storage on what the last one left behind. On a new medium that
// is nothing.
func (p *probe) open() {
	s, err := p.medium.Open()
	p.must("open", err)
	p.s = s
	if p.since == nil {
		p.model = newStorageModel()
	}
	p.durable()
}

// fresh goes on with a storage on a new medium.
func (p *probe) fresh() {
	p.must("close", p.close())
	p.medium, p.since, p.held = p.factory(), nil, nil
	p.open()
}

func (p *probe) close() error {
	if p.s == nil || p.medium.Close == nil {
		return nil
	}
	s := p.s
	p.s = nil
	return p.medium.Close(s)
}

func (p *probe) needReopen() {
	if p.medium.Close == nil {
		panic(skipError("the medium has no Close: nothing outlives the storage"))
	}
}

func (p *probe) needCrash() {
	if p.medium.Crash == nil {
		panic(skipError("the medium has no Crash: a crash cannot be simulated"))
	}
}

func (p *probe) reopen() {
	p.needReopen()
	p.must("close", p.close())
	p.open()
}

// crash crashes the storage, opens it again, and takes over what it lost.
func (p *probe) crash() {
	p.needCrash()
	s := p.s
	p.s = nil
	p.medium.Crash(s)
	since := p.since
	var err error
	p.s, err = p.medium.Open()
	p.must("open after a crash", err)
	p.recovered(since)
	p.durable()
}

func (p *probe) durable() { p.since = append(p.since[:0:0], p.model) }

// save writes rd to both and compares the error. It does not compare the state.
func (p *probe) save(rd raft.Ready) error {
	before := p.model
	want := p.model.save(rd)
	what := "Save(" + describeReady(rd) + ")"
	p.hold(what, rd.Entries)
	err := p.s.Save(rd)
	p.wantErr(what+describeLog(&before), err, want)
	p.wrote(rd.MustSync && err == nil)
	return err
}

func (p *probe) setConf(cs pb.ConfState) {
	p.model.setConf(cs, cs.Index)
	p.must(fmt.Sprintf("SetConfState({%v})", &cs), p.s.SetConfState(cs))
	p.wrote(false)
}

func (p *probe) createSnapshot(i uint64, cs pb.ConfState, data string) {
	what := fmt.Sprintf("CreateSnapshot(%d, {%v})", i, &cs) + describeLog(&p.model)
	want := p.model.createSnapshot(i, cs, []byte(data))
	p.wantErr(what, p.s.CreateSnapshot(i, cs, []byte(data)), want)
	p.wrote(false)
}

func (p *probe) compact(i uint64) {
	what := fmt.Sprintf("Compact(%d)", i) + describeLog(&p.model)
	want := p.model.compact(i)
	p.wantErr(what, p.s.Compact(i), want)
	p.wrote(false)
}

func (p *probe) wrote(synced bool) {
	p.since = append(p.since, p.model)
	if synced {
		p.durable()
	}
}

func describeLog(m *storageModel) string {
	return fmt.Sprintf(" on a log of [%d, %d] with a snapshot at %d", m.first, m.last(), m.snap.Metadata.Index)
}

// hold remembers entries, which must not change any more.
func (p *probe) hold(from string, ents []pb.Entry) {
	was := slices.Clone(ents)
	for i := range was {
		was[i].Data = bytes.Clone(was[i].Data)
	}
	p.held = append(p.held, heldEntries{from, ents, was})
}

// sameHeld compares what was handed out with what it was.
func (p *probe) sameHeld() {
	for _, h := range p.held {
		for i := range h.was {
			if !sameEntry(h.ents[i], h.was[i]) {
				p.failf("entry %s of %s changed to %s", describeEntry(h.was[i]), h.from, describeEntry(h.ents[i]))
			}
		}
	}
}

// sameBounds compares the first and the last index.
func (p *probe) sameBounds() {
	first, err := p.s.FirstIndex()
	p.must("FirstIndex", err)
	last, err := p.s.LastIndex()
	p.must("LastIndex", err)
	if first != p.model.first || last != p.model.last() {
		p.failf("the log is [%d, %d], want [%d, %d]", first, last, p.model.first, p.model.last())
	}
}

// sameTerm compares what Term returns for one index.
func (p *probe) sameTerm(i uint64) {
	want, wantErr := p.model.term(i)
	got, err := p.s.Term(i)
	p.wantErr(fmt.Sprintf("Term(%d)", i)+describeLog(&p.model), err, wantErr)
	if wantErr == nil && got != want {
		p.failf("Term(%d) = %d, want %d", i, got, want)
	}
}

// sameEntries compares what Entries returns for one range without a limit.
func (p *probe) sameEntries(lo, hi uint64) {
	p.sameLimited(lo, hi, noLimit)
}

// sameLimited compares what Entries returns for one range. With a limit it may
// be fewer entries than would fit, but not none.
func (p *probe) sameLimited(lo, hi, limit uint64) {
	what := fmt.Sprintf("Entries(%d, %d, %d)", lo, hi, limit)
	want, wantErr := p.model.entries(lo, hi)
	got, err := p.s.Entries(lo, hi, limit)
	p.wantErr(what+describeLog(&p.model), err, wantErr)
	if wantErr != nil {
		return
	}
	p.hold(what, got)
	switch {
	case len(got) == 0:
		p.failf("%s returned nothing, want at least one entry", what)
	case len(got) > len(want) || limit == noLimit && len(got) != len(want):
		p.failf("%s returned %d entries, want %d", what, len(got), len(want))
	}
	size := uint64(0)
	for i := range got {
		if !sameEntry(got[i], want[i]) {
			p.failf("%s returned %s as entry %d, want %s", what, describeEntry(got[i]), lo+uint64(i), describeEntry(want[i]))
		}
		size += uint64(got[i].Size())
	}
	if len(got) > 1 && size > limit {
		p.failf("%s returned %d bytes in %d entries", what, size, len(got))
	}
}

// sameLog compares bounds, terms and entries.
func (p *probe) sameLog() {
	p.sameBounds()
	for i := p.model.first - 1; i <= p.model.last(); i++ {
		p.sameTerm(i)
	}
	if p.model.first <= p.model.last() {
		p.sameEntries(p.model.first, p.model.last()+1)
	}
}

func (p *probe) sameHard() {
	hs, _, err := p.s.InitialState()
	p.must("InitialState", err)
	if hs != p.model.hard {
		p.failf("the hard state is {%v}, want {%v}", &hs, &p.model.hard)
	}
}

func (p *probe) sameConf() {
	_, cs, err := p.s.InitialState()
	p.must("InitialState", err)
	if !p.model.isConf(cs) {
		p.failf("the configuration is {%v}, want {%v}, which is of index %d", &cs, &p.model.conf, p.model.confAt)
	}
}

func (p *probe) sameSnapshot() {
	got := p.snapshot()
	if !sameSnapshot(got, p.model.snap) {
		p.failf("the snapshot is {%v}, want {%v}", &got, &p.model.snap)
	}
}

// snapshotRetries bounds for how many milliseconds a snapshot may be
// temporarily unavailable.
const snapshotRetries = 5000

// snapshot returns the latest snapshot. One that is being made is waited for.
func (p *probe) snapshot() pb.Snapshot {
	for try := range snapshotRetries {
		snap, err := p.s.Snapshot()
		if !errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) {
			p.must("Snapshot", err)
			return snap
		}
		if try > 2 {
			time.Sleep(time.Millisecond)
		}
	}
	p.failf("Snapshot is unavailable for %d milliseconds", snapshotRetries)
	return pb.Snapshot{}
}

// same compares everything.
func (p *probe) same() {
	p.sameLog()
	p.sameHard()
	p.sameConf()
	p.sameSnapshot()
}

func describeEntry(e pb.Entry) string {
	return fmt.Sprintf("{index %d, term %d, type %d, data %.20q of %d bytes}", e.Index, e.Term, e.Type, e.Data, len(e.Data))
}

func describeReady(rd raft.Ready) string {
	var b []byte
	if !raft.IsEmptySnap(rd.Snapshot) {
		m := &rd.Snapshot.Metadata
		b = fmt.Appendf(b, "snapshot at %d of term %d with the configuration {%v}; ", m.Index, m.Term, &m.ConfState)
	}
	for i, e := range rd.Entries {
		if i == 0 {
			b = fmt.Appendf(b, "entries from %d on, terms and types", e.Index)
		}
		b = fmt.Appendf(b, " %d/%d", e.Term, e.Type)
	}
	if len(rd.Entries) > 0 {
		b = append(b, "; "...)
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		b = fmt.Appendf(b, "hard state {%v}; ", &rd.HardState)
	}
	return string(fmt.Appendf(b, "sync %t", rd.MustSync))
}
