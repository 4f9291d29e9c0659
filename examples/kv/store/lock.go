package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockDirectory keeps everybody else out, this process included.
func (s *Store) lockDirectory() (err error) {
	dir := s.dir
	if s.dir, err = realPath(s.o.FS, dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	s.lock, err = pebble.LockDirectory(s.dir, s.o.FS)
	var noFile *os.PathError
	switch {
	case errors.As(err, &noFile):
		return fmt.Errorf("store: locking %s: %w", dir, err)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrLocked, dir, err)
	}
	return nil
}

// realPath returns the one path that all paths to dir lead to: among those of one
// process, Pebble's lock tells directories apart by their path.
func realPath(fs vfs.FS, dir string) (string, error) {
	if vfs.Root(fs) != vfs.Default {
		return dir, nil
	}
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}
