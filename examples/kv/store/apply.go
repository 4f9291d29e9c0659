package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-raft/raft/replica"
)

// maxBatch is the size from which on a Pebble batch is committed and another begun.
// Each has its index, so that this makes no difference after a crash.
const maxBatch = 32 << 20

// applyWork is what Apply builds.
type applyWork struct {
	batch *pebble.Batch
	// written are the keys that the batch changes: commands see those before them.
	written map[string]entry
	events  []Event
	scratch []byte
}

// entry is what is known of a key; revision 0 is that it is absent.
type entry struct {
	revision uint64
	value    []byte
}

// Apply applies commands as encoded by this package, and sets the Result of each to
// a Result. What they change and the index of the last is one Pebble batch, which
// is not synced: after a crash the state is as of some earlier command. An error
// is of the disk, or of commands that are not in order; it is an ErrFailed, and the
// Store has failed for good.
func (s *Store) Apply(commands []replica.Command) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil || len(commands) == 0 {
		return err
	}
	if err := s.applyAll(commands); err != nil {
		// Halfway: what is in memory is ahead of the disk.
		s.guard.Fail("apply", "", fmt.Errorf("commands [%d, %d]: %w", commands[0].Index, commands[len(commands)-1].Index, err))
		return s.failure()
	}
	return nil
}

func (s *Store) applyAll(commands []replica.Command) error {
	w := &s.work
	if w.written == nil {
		w.written = map[string]entry{}
	}
	clear(w.written)
	w.events = nil // the history took them
	w.batch = s.db.NewBatch()
	last := s.applied.Load()
	for i := range commands {
		c := &commands[i]
		if c.Index <= last {
			return fmt.Errorf("command %d after %d", c.Index, last)
		}
		last = c.Index
		result, err := s.apply(c.Index, c.Data)
		if err != nil {
			return fmt.Errorf("command %d: %w", c.Index, err)
		}
		c.Result = result
		if w.batch.Len() >= maxBatch {
			if err := s.commit(last); err != nil {
				return err
			}
			w.batch = s.db.NewBatch()
		}
	}
	return s.commit(last)
}

// commit commits the batch, as of index.
func (s *Store) commit(index uint64) error {
	w := &s.work
	w.scratch = meta{generation: s.generation, applied: index, owner: s.owner}.append(w.scratch[:0])
	_ = w.batch.Set(metaKey, w.scratch, nil) // never fails
	if err := s.write("commit", func() error { return s.db.Apply(w.batch, pebble.NoSync) }); err != nil {
		return err
	}
	_ = w.batch.Close() // only puts it back
	s.applied.Store(index)
	s.history.add(index, w.events) // a watcher finds in the state what it is told of
	w.events = nil
	return nil
}

// apply adds one command to the batch.
func (s *Store) apply(index uint64, data []byte) (Result, error) {
	c, err := decode(data)
	if err != nil {
		return Result{Status: Malformed}, nil
	}
	switch c.op {
	case opNewMember, opUseMember, opRetireMembers:
		return s.changeMembers(index, &c), nil
	case opRegister:
		result := Result{Status: Done, Revision: index}
		added := &client{id: index, used: index, result: result}
		if forgotten := s.clients.add(added); forgotten != nil {
			s.work.scratch = appendClientKey(s.work.scratch[:0], s.generation, forgotten.id)
			_ = s.work.batch.Delete(s.work.scratch, nil) // never fails
		}
		s.writeClient(added)
		return result, nil
	}
	if c.id.Client == 0 {
		return s.change(index, &c)
	}
	answer, e := s.clients.answer(c.id)
	if e == nil {
		return answer, nil
	}
	result, err := s.change(index, &c)
	if err == nil {
		s.writeClient(s.clients.use(e, c.id.Number, index, result))
	}
	return result, err
}

func (s *Store) writeClient(c *client) {
	w := &s.work
	w.scratch = appendClientKey(w.scratch[:0], s.generation, c.id)
	n := len(w.scratch)
	w.scratch = c.append(w.scratch)
	_ = w.batch.Set(w.scratch[:n], w.scratch[n:], nil) // never fails
}

// change does what the command says to its key.
func (s *Store) change(index uint64, c *command) (Result, error) {
	if c.op == opPut {
		s.put(index, c)
		return Result{Status: Done, Revision: index}, nil
	}
	current, err := s.current(c.key)
	if err != nil {
		return Result{}, err
	}
	switch {
	case c.op == opDelete && current.revision == 0:
		return Result{Status: Absent}, nil
	case c.op == opDelete:
		s.delete(index, c.key)
	case !c.condition.holds(current):
		return Result{Status: Mismatch, Revision: current.revision}, nil
	default:
		s.put(index, c)
	}
	return Result{Status: Done, Revision: index}, nil
}

func (c Condition) holds(current entry) bool {
	switch c.kind {
	case ifAbsent:
		return current.revision == 0
	case ifValue:
		return current.revision != 0 && bytes.Equal(current.value, c.value)
	default: // a revision of 0 is no key's
		return current.revision != 0 && current.revision == c.revision
	}
}

// current returns what the commands before left of a key.
func (s *Store) current(key []byte) (entry, error) {
	w := &s.work
	if e, ok := w.written[string(key)]; ok {
		return e, nil
	}
	w.scratch = appendKey(w.scratch[:0], s.generation, key)
	record, done, err := s.db.Get(w.scratch)
	if errors.Is(err, pebble.ErrNotFound) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, err
	}
	defer done.Close()
	revision, value, err := parseEntry(record)
	return entry{revision: revision, value: bytes.Clone(value)}, err
}

func (s *Store) put(index uint64, c *command) {
	w := &s.work
	op := w.batch.SetDeferred(prefixLen+1+len(c.key), revisionLen+len(c.value))
	appendKey(op.Key[:0], s.generation, c.key)
	binary.BigEndian.PutUint64(op.Value, index)
	copy(op.Value[revisionLen:], c.value)
	_ = op.Finish() // never fails
	w.written[string(c.key)] = entry{revision: index, value: c.value}
	w.events = append(w.events, Event{Key: c.key, Value: c.value, Revision: index})
}

func (s *Store) delete(index uint64, key []byte) {
	w := &s.work
	w.scratch = appendKey(w.scratch[:0], s.generation, key)
	_ = w.batch.Delete(w.scratch, nil) // never fails
	w.written[string(key)] = entry{}
	w.events = append(w.events, Event{Key: key, Revision: index, Deleted: true})
}
