package pebblestore

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

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
