package replica

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

func writeSnapshot(t testing.TB, dir string, body []byte) string {
	t.Helper()
	w, err := createSnapshotFile(dir, &pb.SnapshotMetadata{Index: 7, Term: 3})
	require.NoError(t, err)
	_, err = io.Copy(w, iotestSmall{bytes.NewReader(body)})
	require.NoError(t, err)
	require.NoError(t, w.commit())
	return filepath.Join(dir, snapshotName(7, 3))
}

// iotestSmall reads in pieces of odd sizes.
type iotestSmall struct{ io.Reader }

func (r iotestSmall) Read(b []byte) (int, error) {
	return r.Reader.Read(b[:min(len(b), 1000+len(b)%77)])
}

func readBody(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var body []byte
	err = readSnapshot(f, func(b *bodyReader) error {
		var err error
		body, err = io.ReadAll(b)
		return err
	})
	return body, err
}

// What is read from a snapshot's file is what was written, whatever the size.
func TestSnapshotFile(t *testing.T) {
	for _, size := range []int{0, 1, maxPiece - 1, maxPiece, maxPiece + 1, 5*maxPiece + 17} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(rand.Uint32())
		}
		dir := t.TempDir()
		path := writeSnapshot(t, dir, body)
		got, err := readBody(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, got))
		index, term, ok := parseSnapshotName(filepath.Base(path))
		require.True(t, ok)
		require.Equal(t, []uint64{7, 3}, []uint64{index, term})
		names, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, names, 1, "something is left over")
	}
}

// A file that is cut short anywhere, or of which any byte is another, is an error,
// and nothing of the bad piece is passed on (reliability: corruption is reported,
// never served).
func TestSnapshotFileCorrupt(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), maxPiece/16+20)
	path := writeSnapshot(t, t.TempDir(), body)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	places := []int{0, 7, 8, 11, 12, 15, 16, 500, maxPiece + 15, maxPiece + 16, len(whole) - 9, len(whole) - 8, len(whole) - 1}
	for range 50 {
		places = append(places, rand.IntN(len(whole)))
	}
	for _, at := range places {
		bad := bytes.Clone(whole)
		bad[at] ^= 1 << (at % 8)
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		got, err := readBody(path)
		require.ErrorIs(t, err, ErrSnapshotCorrupt, "byte %d", at)
		require.True(t, bytes.HasPrefix(body, got), "byte %d: what was read is wrong", at)

		require.NoError(t, os.WriteFile(path, whole[:at], 0o600))
		_, err = readBody(path)
		require.ErrorIs(t, err, ErrSnapshotCorrupt, "%d bytes", at)
		require.NotErrorIs(t, err, io.EOF, "it would be taken for the end")
	}
}

// A state machine that stops reading before the end has not restored the snapshot.
func TestSnapshotFileReadToTheEnd(t *testing.T) {
	path := writeSnapshot(t, t.TempDir(), []byte("0123456789"))
	for read, want := range map[int]bool{9: false, 10: true} {
		f, err := os.Open(path)
		require.NoError(t, err)
		err = readSnapshot(f, func(b *bodyReader) error {
			_, err := io.ReadFull(b, make([]byte, read))
			return err
		})
		require.Equal(t, want, err == nil, "%d bytes read: %v", read, err)
		require.NoError(t, f.Close())
	}
	boom := errors.New("boom")
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.ErrorIs(t, readSnapshot(f, func(*bodyReader) error { return boom }), boom)
}

// What is given up leaves nothing behind.
func TestSnapshotFileAbort(t *testing.T) {
	dir := t.TempDir()
	w, err := createSnapshotFile(dir, &pb.SnapshotMetadata{Index: 7, Term: 3})
	require.NoError(t, err)
	_, err = w.Write([]byte("some"))
	require.NoError(t, err)
	w.abort()
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, names)
}

// Names of other files are not taken for snapshots.
func TestSnapshotNames(t *testing.T) {
	for _, name := range []string{"", "x.snap", "1-2.snap", snapshotName(1, 2) + ".tmp", "0000000000000001+0000000000000002.snap", "000000000000000g-0000000000000002.snap"} {
		_, _, ok := parseSnapshotName(name)
		require.False(t, ok, name)
	}
}
