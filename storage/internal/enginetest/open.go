package enginetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A directory is the same by whatever path it is opened: the operating system's
// lock keeps out other processes only, and this one would write the log twice.
func testLockedByAnyPath(t *testing.T, x *Subject) {
	dir := filepath.Join(t.TempDir(), "db")
	link := dir + "-link"
	e, err := x.OpenDefault(dir)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(dir, link))
	t.Chdir(filepath.Dir(dir))
	for _, other := range []string{"db", "./db", dir + "/", dir + "/../db", link} {
		_, err := x.OpenDefault(other)
		require.ErrorIs(t, err, x.Errors.Locked, other)
		require.ErrorContains(t, err, other)
	}
	require.NoError(t, e.Close())
	e, err = x.OpenDefault(link)
	require.NoError(t, err)
	_, err = x.OpenDefault(dir)
	require.ErrorIs(t, err, x.Errors.Locked)
	require.NoError(t, e.Close())
}

// A lock that cannot be taken for another reason, as on a file system that is
// full or read-only, is not in use by anyone.
func testLockFileCannotBeMade(t *testing.T, x *Subject) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "LOCK"), 0o755))
	_, err := x.OpenDefault(dir)
	var cause *os.PathError
	require.ErrorAs(t, err, &cause)
	require.NotErrorIs(t, err, x.Errors.Locked)
	require.ErrorContains(t, err, dir)
}
