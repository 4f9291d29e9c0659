package enginetest

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// childVariable makes the test binary write to a directory until it is killed.
const childVariable = "ENGINETEST_KILL_DIR"

const killGroups = 4

// Main is TestMain: it runs the tests, or is the process that is killed.
func Main(m *testing.M, x *Subject) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := writeUntilKilled(x, dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeUntilKilled goes on with every group, and prints what is acknowledged.
func writeUntilKilled(x *Subject, dir string) error {
	e, err := x.Open(dir, nil, Options{})
	if err != nil {
		return err
	}
	errs := make(chan error)
	for id := uint64(1); id <= killGroups; id++ {
		go func() { errs <- writeGroup(e, id) }()
	}
	return <-errs
}

func writeGroup(e Engine, id uint64) error {
	s, err := e.Group(id)
	if err != nil {
		return err
	}
	hs, _, err := s.InitialState()
	if err != nil {
		return err
	}
	hs.Term++
	last, err := s.LastIndex()
	if err != nil {
		return err
	}
	for n := uint64(0); ; n++ {
		rd := raft.Ready{HardState: hs, MustSync: n%4 != 3}
		for range 1 + n%3 {
			last++
			rd.Entries = append(rd.Entries, pb.Entry{Index: last, Term: hs.Term, Data: killData(id, last)})
		}
		if err := s.Save(rd); err != nil {
			return err
		}
		if rd.MustSync {
			hs.Commit = last
			fmt.Printf("acked %d %d %d\n", id, last, hs.Term)
		}
		if n%50 == 49 && hs.Commit > 40 {
			if err := s.CreateSnapshot(hs.Commit, pb.ConfState{Voters: []uint64{1}, Index: 1}, nil); err != nil {
				return err
			}
			if err := s.Compact(hs.Commit - 30); err != nil {
				return err
			}
		}
	}
}

func killData(id, index uint64) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%d/%d ", id, index), 1+int(index%60)))
}

// A process that is killed at any time has kept what it acknowledged, and the
// next one goes on from there.
func testKill(t *testing.T, x *Subject) {
	t.Parallel()
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	acked := map[uint64][2]uint64{}                                           // index and term
	for round := 0; round < x.Scaled(6) || len(acked) < killGroups; round++ { // a slow machine takes more
		child := exec.Command(os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), childVariable+"="+dir)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		timer := time.AfterFunc(time.Duration(150+rnd.IntN(500))*time.Millisecond, func() { _ = child.Process.Kill() })
		collect(t, out, acked)
		timer.Stop()
		_ = child.Wait()
		checkKilled(t, x, dir, acked, round)
	}
	t.Log(acked)
	require.Len(t, acked, killGroups)
}

// collect reads what the child acknowledged until it ends. A line may be cut.
func collect(t *testing.T, out io.Reader, acked map[uint64][2]uint64) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		require.False(t, strings.HasPrefix(line, "error"), line)
		var id, index, term uint64
		_, err = fmt.Sscanf(line, "acked %d %d %d", &id, &index, &term)
		require.NoError(t, err, line)
		acked[id] = [2]uint64{index, term}
	}
}

func checkKilled(t *testing.T, x *Subject, dir string, acked map[uint64][2]uint64, round int) {
	e, err := x.OpenDefault(dir)
	require.NoError(t, err)
	defer e.Close()
	for id, want := range acked {
		s := Group(t, e, id)
		require.NoError(t, s.Verify())
		first, err := s.FirstIndex()
		require.NoError(t, err)
		last, err := s.LastIndex()
		require.NoError(t, err)
		require.GreaterOrEqual(t, last, want[0], "group %d lost what was acknowledged in round %d", id, round)
		hs, _, err := s.InitialState()
		require.NoError(t, err)
		require.GreaterOrEqual(t, hs.Term, want[1])
		require.LessOrEqual(t, hs.Commit, last)
		for _, entry := range All(t, s) {
			require.Equal(t, killData(id, entry.Index), entry.Data)
		}
		_, err = raft.NewRawNode(&raft.Config{ID: 1, Storage: s, Applied: max(first-1, hs.Commit)})
		require.NoError(t, err)
	}
}
