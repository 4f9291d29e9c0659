package pebblestore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
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

// A store of which the name of the manifest is gone is not taken for a new one,
// which would remove all that is left of it.
func TestMissingManifest(t *testing.T) {
	for _, missing := range []string{"marker.manifest.", "MANIFEST-"} {
		fs := filled(t)
		remove(t, fs, missing)
		names, err := fs.List(testDir)
		require.NoError(t, err)
		_, err = Open(testDir, small(fs))
		require.ErrorIs(t, err, ErrCorrupt, missing)
		require.ErrorContains(t, err, testDir)
		left, err := fs.List(testDir)
		require.NoError(t, err)
		require.ElementsMatch(t, names, left)
	}
}

func remove(t *testing.T, fs vfs.FS, prefix string) {
	t.Helper()
	names, err := fs.List(testDir)
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			require.NoError(t, fs.Remove(fs.PathJoin(testDir, name)))
		}
	}
}
