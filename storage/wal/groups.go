package wal

import "slices"

// Group returns the storage of a group, an empty one if nothing was written to it
// yet. All calls with the same id return the same Storage, until the group is
// destroyed.
//
// The Storage of an ID stays in memory, some hundred bytes, also if nothing is ever
// written to it, so that all who ask have the same. Look an ID that came from elsewhere
// up in what the host knows, or in Groups, before; DestroyGroup forgets one.
func (e *Engine) Group(id uint64) (*Storage, error) {
	if err := e.shared.Acquire(); err != nil {
		return nil, err
	}
	defer e.shared.Release()
	e.groupsMu.Lock()
	defer e.groupsMu.Unlock()
	s := e.groups[id]
	if s == nil {
		s = newStorage(e, id, logState{}, 0)
		e.groups[id] = s
	}
	return s, nil
}

// Groups returns the IDs of the groups that something was written to, ascending.
func (e *Engine) Groups() ([]uint64, error) {
	if err := e.shared.Acquire(); err != nil {
		return nil, err
	}
	defer e.shared.Release()
	var ids []uint64
	for _, s := range e.written() {
		ids = append(ids, s.log.ID)
	}
	slices.Sort(ids)
	return ids, nil
}

// written returns the groups that something was written to.
func (e *Engine) written() []*Storage {
	e.groupsMu.Lock()
	defer e.groupsMu.Unlock()
	var all []*Storage
	for _, s := range e.groups {
		s.log.Mu.RLock()
		if s.checkpoint > 0 && !s.log.Gone {
			all = append(all, s)
		}
		s.log.Mu.RUnlock()
	}
	return all
}

// DestroyGroup removes all of a group, durably. Its Storage, if any, returns
// ErrDestroyed from then on; Group makes a new, empty one. A node that comes back
// with an empty log under the ID of one that voted breaks its promises: do this
// only with a node that is removed from its group for good.
func (e *Engine) DestroyGroup(id uint64) error {
	if err := e.shared.Acquire(); err != nil {
		return err
	}
	defer e.shared.Release()
	e.groupsMu.Lock()
	s := e.groups[id]
	var ticket uint64
	var err error
	if s != nil {
		// A new Storage of the same ID writes only after this.
		ticket, err = s.destroy()
		delete(e.groups, id)
	}
	e.groupsMu.Unlock()
	if s == nil || err != nil {
		return err
	}
	e.mu.Lock()
	err = e.commitLocked(ticket)
	e.keeper.wake()
	return err
}

// destroy makes s refuse everything, and writes that it is gone.
func (s *Storage) destroy() (ticket uint64, err error) {
	s.log.Write.Lock()
	defer s.log.Write.Unlock()
	if s.checkpoint > 0 {
		b, err := s.e.begin(recordHeaderLen)
		if err != nil {
			return 0, err
		}
		b.buf = putBytes(b.buf, s.log.ID, kindDestroy, nil)
		ticket = s.e.ticket()
		s.e.mu.Unlock()
	}
	s.log.Destroy()
	return ticket, nil
}
