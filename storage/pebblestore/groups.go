package pebblestore

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Group returns the storage of a group, an empty one if nothing was written to it
// yet. All calls with the same id return the same Storage, until the group is
// destroyed. It returns a CorruptionError if what is stored contradicts itself.
//
// The Storage of an ID stays in memory, some hundred bytes, also if nothing is ever
// written to it, so that all who ask have the same. Look an ID that came from elsewhere
// up in what the host knows, or in Groups, before; DestroyGroup forgets one.
func (e *Engine) Group(id uint64) (*Storage, error) {
	if err := e.shared.Acquire(); err != nil {
		return nil, err
	}
	defer e.shared.Release()
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.groups[id]; s != nil {
		return s, nil
	}
	st, err := e.load(id)
	if err != nil {
		return nil, e.shared.Blame(err)
	}
	s := newStorage(e, id, st)
	e.groups[id] = s
	return s, nil
}

// Groups returns the IDs of the groups that something was written to, ascending.
func (e *Engine) Groups() ([]uint64, error) {
	if err := e.shared.Acquire(); err != nil {
		return nil, err
	}
	defer e.shared.Release()
	ids, err := e.listGroups()
	return ids, e.shared.Blame(err)
}

func (e *Engine) listGroups() ([]uint64, error) {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceGroup}, UpperBound: []byte{spaceGroup + 1}})
	if err != nil {
		return nil, fmt.Errorf("pebblestore: listing the groups: %w", err)
	}
	defer it.Close()
	var ids []uint64
	for ok := it.First(); ok; {
		k, valid := parseKey(it.Key())
		if !valid {
			return nil, &CorruptionError{Key: fmt.Sprintf("unknown record %x", it.Key()), Err: errUnknownKey}
		}
		ids = append(ids, k.group)
		_, upper := groupBounds(k.group)
		ok = it.SeekGE(upper)
	}
	if err := it.Error(); err != nil {
		if pebble.IsCorruptionError(err) {
			return nil, &CorruptionError{File: corruptFile(err), Err: err}
		}
		return nil, fmt.Errorf("pebblestore: listing the groups: %w", err)
	}
	return ids, nil
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
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.groups[id]; s != nil {
		s.destroy()
		delete(e.groups, id)
	}
	b := e.newBatch(0)
	lower, upper := groupBounds(id)
	if err := b.DeleteRange(lower, upper, nil); err != nil {
		return fmt.Errorf("pebblestore: destroying group %d: %w", id, err)
	}
	if err := e.commit(b, true); err != nil {
		return err
	}
	e.reclaimer.deleted(id, lower, upper)
	return nil
}
