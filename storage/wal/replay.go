package wal

import (
	"fmt"

	pb "github.com/quorate-raft/raft/raftpb"
)

// replay makes what is known of the groups from the records of the log.
type replay struct {
	groups map[uint64]*replayed
	// skipped are groups of which records were found before a state; what was before
	// those is gone, so a state has to come.
	skipped map[uint64]bool
	retired uint64
}

// replayed is a group as of some record.
type replayed struct {
	logState
	// checkpoint is the position of the last state.
	checkpoint uint64
}

func newReplay() *replay {
	return &replay{groups: map[uint64]*replayed{}, skipped: map[uint64]bool{}}
}

// batch takes the records of the batch at a position.
func (r *replay) batch(records []byte, position uint64) error {
	position += batchHeaderLen
	for len(records) > 0 {
		rec, err := parseRecord(records)
		if err == nil {
			err = r.record(&rec, location{position, uint32(rec.size)})
		}
		if err != nil {
			return fmt.Errorf("%s of group %d: %w", rec.kind, rec.group, err)
		}
		records = records[rec.size:]
		position += uint64(rec.size)
	}
	return nil
}

func (r *replay) record(rec *record, at location) error {
	g := r.groups[rec.group]
	switch rec.kind {
	case kindState:
		st, err := parseState(rec.body)
		if err != nil {
			return err
		}
		delete(r.skipped, rec.group)
		r.groups[rec.group] = &replayed{st, at.position}
		return nil
	case kindDestroy:
		delete(r.groups, rec.group)
		delete(r.skipped, rec.group)
		return nil
	case kindEntryCopy, kindSnapshotCopy, kindOpened, kindClosed:
		return nil
	case kindRetired:
		n, err := parseNumber(rec.body)
		r.retired = max(r.retired, n)
		return err
	}
	if g == nil {
		r.skipped[rec.group] = true
		return nil
	}
	return g.record(rec, at)
}

// record takes a change of a group that is known.
func (g *replayed) record(rec *record, at location) (err error) {
	switch rec.kind {
	case kindEntry:
		e, err := parseEntry(rec.body)
		if err != nil {
			return err
		}
		if e.Index <= g.Base.Index || e.Index > g.Last+1 {
			return fmt.Errorf("%w: entry %d of [%d, %d]", errOrder, e.Index, g.Base.Index+1, g.Last)
		}
		g.truncate(e.Index)
		g.push(e.Index, e.Term, e.Type != pb.EntryNormal, at)
	case kindHard:
		g.Hard, err = parseHard(rec.body)
	case kindConf:
		g.Conf, g.ConfAt, err = parseConf(rec.body)
	case kindSnapshot, kindInstall:
		var snap pb.Snapshot
		if err := snap.Unmarshal(rec.body); err != nil {
			return err
		}
		meta := &snap.Metadata
		if meta.Index <= g.Snap {
			return fmt.Errorf("%w: a snapshot at %d after one at %d", errOrder, meta.Index, g.Snap)
		}
		if rec.kind == kindSnapshot {
			g.setSnapshot(meta.Index, at)
		} else {
			g.install(meta, at)
		}
	case kindCompact:
		index, err := parseNumber(rec.body)
		if err == nil && (index <= g.Base.Index || index > g.Last) {
			err = fmt.Errorf("%w: compaction to %d of [%d, %d]", errOrder, index, g.Base.Index+1, g.Last)
		}
		if err != nil {
			return err
		}
		g.compact(index)
	}
	return err
}

// finish checks that what is known is in the log that is there.
func (r *replay) finish(oldest *segment, end uint64) error {
	// Nothing goes but by a retirement, of which the newest is always in the log.
	if first := max(1, r.retired); oldest.seq > first {
		return corruptSegment(segmentName(first), 0, "%w", errMissing)
	}
	for id := range r.skipped {
		return &CorruptionError{Group: id, Record: kindState.String(), Err: errMissing}
	}
	for id, g := range r.groups {
		for _, at := range append(g.at[:len(g.at):len(g.at)], g.snapAt) {
			if at.size > 0 && (at.position < oldest.start || at.position+uint64(at.size) > end) {
				return &CorruptionError{
					Group: id, Record: kindState.String(),
					Err: fmt.Errorf("%w: a record at %d of a log from %d to %d", errOrder, at.position, oldest.start, end),
				}
			}
		}
	}
	return nil
}
