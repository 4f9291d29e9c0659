package wal

import (
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Whom it is for is not forgotten with the file that a crash left without a batch and
// that alone says so.
func TestIdentityAfterCrashes(t *testing.T) {
	fs := newMemFS()
	require.NoError(t, open(t, small(fs)).Close())
	o := small(fs)
	o.ClusterID = 5
	killed(fs, "write", segmentName(2))
	_, err := Open(testDir, o)
	require.ErrorIs(t, err, ErrFailed)
	killed(fs, "rename", spareName(3)) // no file is made ahead that says it too
	e, err := Open(testDir, o)
	if err == nil {
		_ = e.Close()
	}
	fs.watch(nil, nil)
	require.Len(t, fs.segments(), 2)
	o = small(fs)
	o.ClusterID = 7
	_, err = Open(testDir, o)
	require.ErrorIs(t, err, ErrIdentity)
}

// What this program does not understand it leaves alone.
func TestFormat(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	require.NoError(t, e.Close())
	segments := fs.segments()
	f := fs.names[segments[len(segments)-1]]
	written := append([]byte(nil), f.data...)
	h := segmentHeader{}
	require.NoError(t, h.parse(f.data))
	h.version = 9
	h.put(f.data[:blockSize])
	_, err := Open(testDir, small(fs))
	var format *FormatError
	require.ErrorAs(t, err, &format)
	require.Equal(t, FormatError{testDir, 9, formatVersion}, *format)
	require.ErrorIs(t, err, ErrFormat)
	f.data = written
	require.NoError(t, open(t, small(fs)).Close())

	foreign := newMemFS()
	foreign.put(filepath.Join(testDir, "CURRENT"), nil)
	_, err = Open(testDir, small(foreign))
	require.ErrorIs(t, err, ErrFormat)
	require.ErrorContains(t, err, "something else")
	require.Len(t, foreign.names, 1)
}

// A group that is idle, or does not compact, does not keep the files of the others
// for ever: what it has is moved, and is there after a restart and a crash.
func TestIdleGroupsDoNotKeepFiles(t *testing.T) {
	fs := newMemFS()
	o := small(fs)
	e := open(t, o)
	idle, busy := group(t, e, 1), group(t, e, 2)
	want := entries(1, 40, 1, 500)
	save(t, idle, want)
	require.NoError(t, idle.CreateSnapshot(7, pb.ConfState{Voters: []uint64{1}}, []byte("kept")))
	require.NoError(t, idle.Compact(3))
	hs, _, err := idle.InitialState()
	require.NoError(t, err)
	check := func() {
		t.Helper()
		require.Equal(t, want[3:], all(t, idle))
		snap, err := idle.Snapshot()
		require.NoError(t, err)
		require.Equal(t, []byte("kept"), snap.Data)
		got, _, err := idle.InitialState()
		require.NoError(t, err)
		require.Equal(t, hs, got)
		require.NoError(t, idle.Verify())
	}
	for i := uint64(1); i < 400; i++ {
		save(t, busy, entries(i, i+1, 1, 3000))
		if i%20 == 0 {
			require.NoError(t, busy.Compact(i-5))
		}
	}
	require.Eventually(t, func() bool { return fs.size() < 9*minSegmentBytes }, 20*time.Second, 5*time.Millisecond)
	check()
	left := fs.crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	for _, fs := range []*memFS{fs, left} {
		o.files = fs
		e = open(t, o)
		idle = group(t, e, 1)
		check()
		require.NoError(t, e.Close())
	}
}

// A file that is not needed any more is the next one: its blocks were written before.
func TestFilesAreRecycled(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	s := group(t, e, 1)
	var created atomic.Int64
	fs.watch(func(op, _ string) error {
		if op == "create" {
			created.Add(1)
		}
		return nil
	}, nil)
	for i := uint64(1); i < 600; i++ {
		save(t, s, entries(i, i+1, 1, 3000))
		if i%10 == 0 {
			require.NoError(t, s.Compact(i-1))
			time.Sleep(time.Millisecond)
		}
	}
	require.NoError(t, e.Close())
	t.Log(e.lastSeq, "segments,", created.Load(), "files created")
	require.Greater(t, e.lastSeq, uint64(30))
	require.Less(t, created.Load(), int64(12))
}
