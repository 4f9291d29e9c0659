package wal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A directory is the same by whatever path it is opened: the operating system's
// lock keeps out other processes only, and this one would write the log twice.
func TestLockedByAnyPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	link := dir + "-link"
	e, err := Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(dir, link))
	t.Chdir(filepath.Dir(dir))
	for _, other := range []string{"db", "./db", dir + "/", dir + "/../db", link} {
		_, err := Open(other, nil)
		require.ErrorIs(t, err, ErrLocked, other)
		require.ErrorContains(t, err, other)
	}
	require.NoError(t, e.Close())
	e, err = Open(link, nil)
	require.NoError(t, err)
	_, err = Open(dir, nil)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, e.Close())
}

// A lock that cannot be taken for another reason, as on a file system that is
// full or read-only, is not in use by anyone.
func TestLockFileCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "LOCK"), 0o755))
	_, err := Open(dir, nil)
	var cause *os.PathError
	require.ErrorAs(t, err, &cause)
	require.NotErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, dir)
}

// Open makes the directory with its parents, and leaves what is in it alone.
func TestNewDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	e, err := Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
	e, err = Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.FileExists(t, filepath.Join(dir, "notes.txt"))
}
