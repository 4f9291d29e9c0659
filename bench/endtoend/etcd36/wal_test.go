package etcd36

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/bench/load"
)

// replayed is what a log's files say.
type replayed struct {
	snapshot pb.Snapshot
	state    pb.HardState
	entries  map[uint64]pb.Entry
}

// replay reads the files as a node would that starts again, in the order of their serials.
func replay(t *testing.T, dir string, last uint32) replayed {
	r := replayed{entries: make(map[uint64]pb.Entry)}
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	require.NoError(t, err)
	for serial := uint32(1); serial <= last; serial++ {
		for _, name := range names {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			r.file(t, b, serial)
		}
	}
	return r
}

// file reads records until one has not the serial's checksum.
func (r *replayed) file(t *testing.T, b []byte, serial uint32) {
	for len(b) >= recordHead {
		head := binary.LittleEndian.Uint32(b)
		kind, size := head>>28, int(head&(1<<28-1))
		if kind == 0 || recordHead+size > len(b) {
			return
		}
		body := b[recordHead : recordHead+size]
		if crc32.Update(serial, castagnoli, body) != binary.LittleEndian.Uint32(b[4:]) {
			return
		}
		switch kind {
		case recordSnapshot:
			r.snapshot = pb.Snapshot{}
			require.NoError(t, r.snapshot.Unmarshal(body))
		case recordState:
			r.state = pb.HardState{}
			require.NoError(t, r.state.Unmarshal(body))
		default:
			var e pb.Entry
			require.NoError(t, e.Unmarshal(body))
			r.entries[e.Index] = e
		}
		b = b[recordHead+size:]
	}
}

// What was saved is in the files, all after the newest snapshot, also when files are written anew; otherwise the log's
// figures would be those of something that is none.
func TestLogHasWhatWasSaved(t *testing.T) {
	dir := t.TempDir()
	var syncs load.Syncs
	snap := pb.Snapshot{Data: []byte("s"), Metadata: pb.SnapshotMetadata{Index: 1, Term: 1}}
	w, err := newWAL(dir, snap, &syncs)
	require.NoError(t, err)
	const batch, batches = 16, 900
	for i := range batches {
		rd := raft.Ready{HardState: pb.HardState{Term: 2, Commit: uint64(i * batch)}, MustSync: true}
		for j := range batch {
			rd.Entries = append(rd.Entries, pb.Entry{Term: 2, Index: uint64(2 + i*batch + j), Data: make([]byte, 4096)})
		}
		require.NoError(t, w.save(rd))
		if i%200 == 199 {
			snap.Metadata.Index = w.last - 5
			w.compact(snap)
		}
	}
	require.EqualValues(t, batches, syncs.Count())
	require.Greater(t, int(w.serial), segments, "the first file was written anew")
	require.NoError(t, w.close())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.LessOrEqual(t, len(files), segments+1)

	r := replay(t, dir, w.serial)
	require.Equal(t, snap.Metadata.Index, r.snapshot.Metadata.Index)
	require.EqualValues(t, (batches-1)*batch, r.state.Commit)
	for i := snap.Metadata.Index + 1; i <= w.last; i++ {
		require.Equal(t, i, r.entries[i].Index)
	}
}

// All members apply what is acknowledged, and the log is synced for it.
func TestSample(t *testing.T) {
	s, err := load.Measure(t.Context(), Library, load.Options{
		Writers: 16, Size: 128, Span: 300 * time.Millisecond, Dir: t.TempDir(),
	})
	require.NoError(t, err)
	require.Positive(t, s.Syncs)
}

// Proposals end with an error when the node stops, and no later than that.
func TestStop(t *testing.T) {
	c, err := start(t.Context(), t.TempDir())
	require.NoError(t, err)
	require.NoError(t, c.Write(t.Context(), make([]byte, 8)))
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.Write(t.Context(), make([]byte, 8)), errStopped)
}
