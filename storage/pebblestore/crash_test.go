package pebblestore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// Where a crash kept the marker of a new manifest and not the manifest, the store goes on
// from the one before: nothing was written to the new one yet.
func TestMarkerWithoutManifest(t *testing.T) {
	fs := filled(t)
	names, err := fs.List(testDir)
	require.NoError(t, err)
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, manifestMarker); ok {
			iter, _, _ := strings.Cut(rest, ".")
			var n uint64
			_, err := fmt.Sscan(iter, &n)
			require.NoError(t, err)
			for later := n + 1; later <= n+2; later++ {
				f, err := fs.Create(fs.PathJoin(testDir, fmt.Sprintf("%s%06d.MANIFEST-%06d", manifestMarker, later, 900+later)), vfs.WriteCategoryUnspecified)
				require.NoError(t, err)
				require.NoError(t, f.Close())
			}
		}
	}
	e, err := Open(testDir, small(fs))
	require.NoError(t, err)
	defer e.Close()
	groups, err := e.Groups()
	require.NoError(t, err)
	require.NotEmpty(t, groups, "what was there is gone")
	for _, id := range groups {
		s, err := e.Group(id)
		require.NoError(t, err)
		require.NoError(t, s.Verify())
		last, err := s.LastIndex()
		require.NoError(t, err)
		require.NotZero(t, last)
	}
}

// So does a new directory of which it kept nothing else: there was nothing in it yet.
func TestMarkerWithoutAStore(t *testing.T) {
	fs := vfs.NewMem()
	require.NoError(t, fs.MkdirAll(testDir, 0o755))
	f, err := fs.Create(fs.PathJoin(testDir, manifestMarker+"000001.MANIFEST-000001"), vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	e := open(t, small(fs))
	save(t, group(t, e, 1), entries(1, 4, 1, 10))
	require.NoError(t, e.Close())
	e = open(t, small(fs))
	require.Len(t, all(t, group(t, e, 1)), 3)
	require.NoError(t, e.Close())
}
