package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-raft/raft/storage/pebblestore/diskguard"
)

// Open opens the directory, which is created if it is missing. Nil options are the
// default.
//
// It returns ErrLocked if the directory is open already, an IdentityError if it is
// another server's, and ErrFormat if something else is in it.
func Open(dir string, o *Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Store{o: o.withDefaults(), dir: dir, views: map[*view]struct{}{}}
	s.guard = diskguard.New(s.o.FS, s.failed)
	s.history = newHistory(s.o.HistoryEvents, s.o.HistoryBytes, 0)
	if !s.o.mustExist {
		if err := makeDirectory(s.o.FS, dir); err != nil {
			return nil, fmt.Errorf("store: creating %s: %w", dir, err)
		}
	}
	if err := s.lockDirectory(); err != nil {
		return nil, err
	}
	err := s.openPebble()
	if err == nil {
		err = s.load()
	}
	if err != nil && !errors.Is(err, ErrIdentity) {
		err = fmt.Errorf("store: opening %s: %w", dir, err)
	}
	if err = s.blame(err); err != nil {
		_ = s.closePebble() // the first error says more
		return nil, err
	}
	return s, nil
}

// openPebble opens db. Pebble panics at some kinds of damage.
func (s *Store) openPebble() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("pebble panicked: %v", r)
		}
	}()
	o := s.pebbleOptions()
	o.Lock, o.ErrorIfNotExists = s.lock, s.o.mustExist
	db, err := pebble.Open(s.dir, o)
	if err != nil {
		return err
	}
	s.db = db
	return nil
}

// closePebble closes what is open, whatever state it is in.
func (s *Store) closePebble() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(err, fmt.Errorf("pebble panicked: %v", r))
		}
		err = errors.Join(err, s.lock.Close())
	}()
	if s.db != nil {
		err = s.db.Close()
	}
	return err
}

// makeDirectory creates dir so that it is there after a crash: all directories on
// the way that did not exist are synced into their parents. The ones that did may
// be of a process that ended before it came to that.
func makeDirectory(fs vfs.FS, dir string) error {
	missing := map[string]bool{}
	var path []string
	for at := dir; ; at = fs.PathDir(at) {
		_, err := fs.Stat(at)
		missing[at] = err != nil
		if fs.PathDir(at) == at {
			break
		}
		path = append(path, at)
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, at := range path {
		// What was there before need not be ours to sync.
		if err := syncDirectory(fs, fs.PathDir(at)); err != nil && missing[at] {
			return err
		}
	}
	return nil
}

func syncDirectory(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// load reads what is kept in memory, and removes what a crash in the middle of a
// Restore left.
func (s *Store) load() error {
	m, err := s.readMeta()
	if err != nil {
		return err
	}
	if err := s.identify(m); err != nil {
		return err
	}
	s.generation = m.generation
	s.applied.Store(m.applied)
	s.history.reset(m.applied)
	if err := s.dropOthers(); err != nil {
		return err
	}
	clients, err := s.readClients()
	if err != nil {
		return err
	}
	if s.clients, err = newClientTable(s.o.maxClients, clients); err != nil {
		return err
	}
	s.members, err = s.readMembers()
	return err
}

func (s *Store) readMeta() (m meta, err error) {
	record, done, err := s.db.Get(metaKey)
	switch {
	case err == nil:
		defer done.Close()
		return parseMeta(record)
	case !errors.Is(err, pebble.ErrNotFound):
		return m, err
	}
	// A new directory, or one whose first batch was lost in a crash.
	other, err := s.holds(nil, []byte{generationByte})
	if err == nil && !other {
		other, err = s.holds([]byte{generationByte + 1}, nil)
	}
	if err == nil && other {
		err = fmt.Errorf("%w: there is no record of the state", ErrFormat)
	}
	return m, err
}

// holds says whether there is a key from lower on and before upper.
func (s *Store) holds(lower, upper []byte) (found bool, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return false, err
	}
	found = it.First()
	return found, it.Close()
}

// dropOthers removes all generations that are not the state.
func (s *Store) dropOthers() error {
	ranges := [][2][]byte{
		{{generationByte}, generationPrefix(s.generation)},
		{generationPrefix(s.generation + 1), {generationByte + 1}},
	}
	for _, r := range ranges {
		found, err := s.holds(r[0], r[1])
		if err == nil && found {
			err = s.write("commit", func() error { return s.db.DeleteRange(r[0], r[1], pebble.NoSync) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) readClients() (clients []*client, err error) {
	prefix := generationPrefix(s.generation)
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: append(prefix, clientRecord),
		UpperBound: append(generationPrefix(s.generation), clientRecord+1),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for valid := it.First(); valid; valid = it.Next() {
		c, err := parseClient(it.Key()[prefixLen+1:], it.Value())
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}
