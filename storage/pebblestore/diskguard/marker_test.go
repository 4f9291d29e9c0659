package diskguard

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// markerFS keeps, for each marker of a manifest that is made, what a loss of power leaves
// then that keeps the marker and nothing else that was not synced.
type markerFS struct {
	*vfs.MemFS
	left []*vfs.MemFS
}

func (f *markerFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.MemFS.Create(name, c)
	if err == nil && strings.HasPrefix(f.PathBase(name), manifestMarker) {
		left := f.CrashClone(vfs.CrashCloneCfg{})
		marker, err := left.Create(name, c)
		if err != nil {
			return nil, err
		}
		if err := marker.Close(); err != nil {
			return nil, err
		}
		f.left = append(f.left, left)
	}
	return file, err
}

// Wherever the power is lost while Pebble takes a new manifest into use, a file system that
// keeps no order among the changes of a directory leaves a store that opens, with its data.
func TestMarkerIsNotLeftAlone(t *testing.T) {
	open := func(fs vfs.FS) (*pebble.DB, error) {
		g := New(fs, nil)
		return pebble.Open("db", &pebble.Options{FS: g, Logger: g.Logger(zap.NewNop())})
	}
	fs := &markerFS{MemFS: vfs.NewCrashableMem()}
	require.NoError(t, fs.MkdirAll("db", 0o755))
	root, err := fs.OpenDir("/")
	require.NoError(t, err)
	require.NoError(t, root.Sync())
	require.NoError(t, root.Close())
	for round := range byte(4) {
		seen := len(fs.left)
		db, err := open(fs)
		require.NoError(t, err)
		require.NoError(t, db.Set([]byte{round}, nil, pebble.Sync))
		require.NoError(t, db.Flush())
		require.NoError(t, db.Close())
		require.Greater(t, len(fs.left), seen, "no new manifest")
		for _, left := range fs.left[seen:] {
			db, err := open(left)
			require.NoError(t, err)
			for key := range round {
				_, done, err := db.Get([]byte{key})
				require.NoError(t, err)
				require.NoError(t, done.Close())
			}
			require.NoError(t, db.Close())
		}
	}
}

// Where what a marker names cannot be made durable, no marker is made.
func TestNoMarkerAfterAFailedSync(t *testing.T) {
	disk := &faultyFS{FS: vfs.NewMem(), fail: "sync"}
	require.NoError(t, disk.FS.MkdirAll("dir", 0o755))
	g := New(disk, nil)
	f, err := g.Create("dir/"+manifestMarker+"000001.MANIFEST-000001", category)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.ErrorContains(t, g.Failure(), "sync of dir: ")
	require.Equal(t, []string{"sync dir"}, disk.reached)

	g = New(&faultyFS{FS: vfs.NewMem()}, nil)
	_, err = g.Create("none/"+manifestMarker+"000001.MANIFEST-000001", category)
	require.NoError(t, err)
	require.ErrorContains(t, g.Failure(), "sync of none: ")
}
