package store

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/storage/pebblestore/diskguard"
)

// failed is told of the first failure, perhaps with locks of Pebble's held.
func (s *Store) failed(failure *diskguard.Failure) {
	s.o.Logger.Error("the store failed for good", zap.String("directory", s.dir), zap.Error(failure))
	s.history.wake() // who watches asks for the failure
}

// failure returns the error after which nothing is written or read any more, or nil.
// Pebble is not told of it, so it is asked for after whatever Pebble did, and before
// that is believed.
func (s *Store) failure() error {
	if failure := s.guard.Failure(); failure != nil {
		return fmt.Errorf("%w: %w", ErrFailed, failure)
	}
	return nil
}

// usable returns why the Store is not to be used any more, if so. mu is held.
func (s *Store) usable() error {
	if s.closed {
		return ErrClosed
	}
	return s.failure()
}

// write lets Pebble write. An error of it, or a panic, is a failure, as it is not known
// then what was written.
func (s *Store) write(op string, do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.guard.Fail(op, "", fmt.Errorf("pebble panicked: %v", r))
			err = s.failure()
		}
	}()
	if err := do(); err != nil {
		s.guard.Fail(op, "", err)
	}
	return s.failure()
}

// blame returns what a read is to return that ended in err, or in nil: if a write failed
// meanwhile then that, since what was found, or was not, may be of a write that went
// nowhere.
func (s *Store) blame(err error) error {
	if failure := s.failure(); failure != nil {
		return failure
	}
	return err
}
