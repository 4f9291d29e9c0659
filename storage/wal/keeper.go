package wal

import (
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// keeper makes files ahead of the log, and frees those that nothing needs any more.
type keeper struct {
	e      *Engine
	awake  chan struct{}
	stop   chan struct{}
	stopIt sync.Once
	done   chan struct{}
}

func newKeeper(e *Engine) *keeper {
	k := &keeper{e: e, awake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	k.wake()
	return k
}

// wake says that there may be something to do. It never waits.
func (k *keeper) wake() {
	select {
	case k.awake <- struct{}{}:
	default:
	}
}

// close ends it, before the files are closed.
func (k *keeper) close() {
	k.stopIt.Do(func() { close(k.stop) })
	k.e.hurry.Store(true) // a file that is being made need not be good
	<-k.done
}

func (k *keeper) stopped() bool {
	select {
	case <-k.stop:
		return true
	default:
		return k.e.Err() != nil
	}
}

func (k *keeper) run() {
	defer close(k.done)
	for {
		select {
		case <-k.stop:
			return
		case <-k.awake:
		}
		// Failures are known to the Engine; whoever comes next is told.
		for !k.stopped() && k.e.prepare(k.e.o.SegmentBytes) == nil {
			freed, err := k.free()
			if err != nil && k.e.Err() == nil {
				k.e.o.Logger.Error("freeing disk space failed", zap.String("directory", k.e.dir), zap.Error(err))
			}
			if !freed || err != nil {
				break
			}
		}
		select {
		case <-k.stop:
			return
		case <-time.After(k.e.o.keeperPause):
		}
	}
}

// free frees the oldest segment, if that is possible, or worth it.
func (k *keeper) free() (bool, error) {
	e := k.e
	e.mu.Lock()
	old, end := e.segments[0], uint64(0)
	length := int64(e.pending.start - old.start)
	if len(e.segments) > 1 {
		end = e.segments[1].start
	}
	e.mu.Unlock()
	if end == 0 {
		return false, nil // it is being written to
	}
	groups := e.written()
	if needed, live := needs(groups, end); needed && length <= max(e.o.LogBytes, 2*live+2*e.o.SegmentBytes) {
		return false, nil
	}
	for _, s := range groups {
		if k.stopped() {
			return false, e.Err()
		}
		if err := s.leave(end); err != nil {
			return false, err
		}
	}
	// Once this is durable all before it is: nothing leads to the file any more.
	b, err := e.begin(recordHeaderLen + 8)
	if err != nil {
		return false, err
	}
	b.buf = putNumber(b.buf, 0, kindRetired, old.seq+1)
	if err := e.commitLocked(e.ticket()); err != nil {
		return false, err
	}
	return true, e.retire(old)
}

// needs reports whether entries or snapshots are before a position, and how much of
// them there is in all.
func needs(groups []*Storage, end uint64) (needed bool, live int64) {
	for _, s := range groups {
		s.log.Mu.RLock()
		needed = needed || s.log.State.low() < end
		live += s.log.State.live
		s.log.Mu.RUnlock()
	}
	return needed, live
}

// leave moves all of a group that is before a position to the end of the log: the
// records, then a new state, by which they are found after a restart.
func (s *Storage) leave(end uint64) error {
	for {
		left, err := s.move(end)
		if err != nil {
			return err
		}
		if !left {
			break
		}
	}
	s.log.Write.Lock()
	defer s.log.Write.Unlock()
	if s.log.Gone || s.checkpoint >= end {
		return nil
	}
	body, err := s.log.State.body()
	if err != nil {
		return s.e.fail("write", "state", err)
	}
	b, err := s.e.begin(recordHeaderLen + len(body))
	if err != nil {
		return err
	}
	at := b.location(len(body)).position
	b.buf = putBytes(b.buf, s.log.ID, kindState, body)
	s.e.mu.Unlock()
	s.log.Mu.Lock()
	s.checkpoint = at
	s.log.Mu.Unlock()
	return nil
}

// moveBytes is about how much is moved at once, while writes of the group wait.
const moveBytes = 512 << 10

// move moves some of the records before a position, and reports whether there may be more.
func (s *Storage) move(end uint64) (left bool, err error) {
	s.log.Write.Lock()
	defer s.log.Write.Unlock()
	st := s.log.State
	if s.log.Gone || st.low() >= end {
		return false, nil
	}
	moved := false
	if st.Snap > 0 && st.snapAt.position < end {
		if st.snapAt, err = s.copyRecord(&st, st.Snap, st.snapAt, kindSnapshotCopy); err != nil {
			return false, err
		}
		moved = true
	}
	at := slices.Clone(st.at) // readers may have the other
	for i, size := 0, 0; i < len(at) && size < moveBytes; i++ {
		if at[i].position >= end {
			continue
		}
		size += int(at[i].size)
		if at[i], err = s.copyRecord(&st, st.Base.Index+1+uint64(i), at[i], kindEntryCopy); err != nil {
			return false, err
		}
		moved = true
	}
	st.at, st.moved = at, true
	s.log.Mu.Lock()
	s.log.State = st
	s.checkpoint = min(s.checkpoint, end-1) // the newest on the disk leads to the old places
	s.log.Mu.Unlock()
	return moved, nil
}

// copyRecord writes the record of an index again, under another kind. It has a new
// checksum then and the old one is given up, so it has to be what the log has there.
func (s *Storage) copyRecord(st *logState, index uint64, at location, k kind) (location, error) {
	buf, _, err := s.e.readRun([]location{at}, nil)
	if err == nil && k == kindEntryCopy {
		_, err = s.entryIn(buf, st, index, at)
	} else if err == nil {
		_, err = s.snapshotIn(buf, index, at)
	}
	if err != nil {
		if k == kindSnapshotCopy {
			index = 0 // of no entry
		}
		return at, s.readError(k, index, at, err)
	}
	body := buf[recordHeaderLen:]
	b, err := s.e.begin(len(buf))
	if err != nil {
		return at, err
	}
	moved := b.location(len(body))
	b.buf = putBytes(b.buf, s.log.ID, k, body)
	s.e.mu.Unlock()
	return moved, nil
}
