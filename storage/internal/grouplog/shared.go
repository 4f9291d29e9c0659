package grouplog

import (
	"errors"
	"sync"

	"github.com/quorate-raft/raft"
)

// Errors are the engine's own, which its callers match.
type Errors struct {
	// Closed is of operations after Close, Destroyed of those on a group that was
	// destroyed, Gap of entries that do not continue the log.
	Closed, Destroyed, Gap error
}

// Shared is what all groups of an engine share: whether it may be used, and the cache.
type Shared struct {
	errs Errors
	// failure returns the failure after which nothing is written or read, or nil.
	failure func() error
	cache   cache

	// life is held for reading by an operation.
	life   sync.RWMutex
	closed bool
}

// Init is called once, before anything else, with the most bytes that may be cached,
// below 0 for none.
func (s *Shared) Init(errs Errors, failure func() error, cacheBytes int64) {
	s.errs, s.failure, s.cache.limit = errs, failure, max(0, cacheBytes)
}

// Acquire begins an operation that uses the engine; Release ends it.
func (s *Shared) Acquire() error {
	s.life.RLock()
	err := s.failure()
	if s.closed {
		err = s.errs.Closed
	}
	if err != nil {
		s.life.RUnlock()
	}
	return err
}

// Release ends an operation.
func (s *Shared) Release() { s.life.RUnlock() }

// Close waits for operations that are under way, after which none may begin, and
// does what is left to do. A second one waits for the first, and does nothing.
func (s *Shared) Close(do func() error) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return do()
}

// Blame returns what is to blame for err, of a read: if a write failed meanwhile,
// then that, since what was looked for may never have been written.
func (s *Shared) Blame(err error) error {
	if failure := s.failure(); failure != nil && err != nil && !s.isAnswer(err) {
		return failure
	}
	return err
}

// isAnswer reports whether err is an answer of its own, not a fault.
func (s *Shared) isAnswer(err error) bool {
	return errors.Is(err, raft.ErrCompacted) || errors.Is(err, raft.ErrUnavailable) || errors.Is(err, s.errs.Destroyed)
}

// CheckCache reports what of the cache does not add up, while nothing is written, for
// tests: parts are those of all groups.
func (s *Shared) CheckCache(parts []*Part) error { return s.cache.check(parts) }
