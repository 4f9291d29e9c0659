package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/lincheck"
)

// tell runs a story of the test's own, in a directory of its own.
func tell(t *testing.T, c Config, steps func(d *demo) []step) (*Summary, *demo, error) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	d, err := newDemo(c)
	require.NoError(t, err)
	s, err := d.run(t.Context(), steps(d))
	return s, d, err
}

// found makes a step of what reading back finds in the keys.
func (d *demo) found(value func(key string) string) step {
	return step{"read everything back", func(context.Context) (string, error) {
		keys := map[string]string{}
		for i := range d.config.Keys {
			keys[loadKey(i)] = value(loadKey(i))
		}
		d.summary.ReadFrom, d.summary.Lost = []uint64{1}, d.ledger.lost(keys)
		return "", nil
	}}
}

// loaded is a step after which every key has the value v.
func (d *demo) loaded() step {
	return step{"load", func(context.Context) (string, error) {
		for i := range d.config.Keys {
			d.ledger.wrote(i, "v", applied)
		}
		return "", nil
	}}
}

// A story in which all was well ends without an error, and leaves nothing behind.
func TestAllWell(t *testing.T) {
	s, d, err := tell(t, Config{Keys: 100}, func(d *demo) []step {
		return []step{d.loaded(), d.found(func(string) string { return "v" }), {"check", d.check}}
	})
	require.NoError(t, err)
	require.True(t, s.Linearizable)
	require.NoDirExists(t, d.dir)
}

// A key that does not hold what was acknowledged is an error that names it, and what is
// there to be looked at stays.
func TestLostWrite(t *testing.T) {
	s, d, err := tell(t, Config{Keys: 100}, func(d *demo) []step {
		return []step{d.loaded(), d.found(func(key string) string {
			if key == loadKey(42) {
				return "an older one"
			}
			return "v"
		}), {"check", d.check}}
	})
	require.ErrorIs(t, err, ErrLost)
	require.ErrorContains(t, err, loadKey(42))
	require.ErrorContains(t, err, d.dir)
	require.Len(t, s.Lost, 1)
	require.DirExists(t, d.dir)
}

// A history with an answer that no order explains is an error, though every key holds what
// it should.
func TestCorruptedHistory(t *testing.T) {
	var out bytes.Buffer
	s, _, err := tell(t, Config{Keys: 100, Out: &out}, func(d *demo) []step {
		return []step{d.loaded(), d.found(func(string) string { return "v" }), {"corrupt", func(context.Context) (string, error) {
			d.history.add(lincheck.Op{Client: 1, Key: 1, Kind: lincheck.Write, Value: 7, Call: 10, Return: 20, Pos: 5})
			d.history.add(lincheck.Op{Client: 2, Key: 1, Kind: lincheck.Read, Result: 0, Call: 30, Return: 40})
			return "", nil
		}}, {"check", d.check}}
	})
	require.ErrorIs(t, err, ErrNotLinearizable)
	require.False(t, s.Linearizable)
	require.Regexp(t, `linearizable +NO`, out.String())
}

// That nothing was found is no success if nobody looked.
func TestNotChecked(t *testing.T) {
	_, _, err := tell(t, Config{Keys: 100}, func(d *demo) []step { return []step{d.loaded()} })
	require.ErrorIs(t, err, ErrNotChecked)
	_, _, err = tell(t, Config{Keys: 100}, func(d *demo) []step { return []step{{"check", d.check}} })
	require.ErrorIs(t, err, ErrNotChecked)
}

// A step that fails ends the story and is named.
func TestFailedStep(t *testing.T) {
	var out bytes.Buffer
	fault := errors.New("out of luck")
	s, d, err := tell(t, Config{Out: &out}, func(*demo) []step {
		return []step{
			{"try", func(context.Context) (string, error) { return "", fault }},
			{"go on", func(context.Context) (string, error) { panic("reached") }},
		}
	})
	require.ErrorIs(t, err, fault)
	require.ErrorContains(t, err, "try: out of luck")
	require.Equal(t, "try: out of luck", s.Fault)
	require.Contains(t, out.String(), "try: FAILED")
	require.Contains(t, out.String(), "not checked")
	require.DirExists(t, d.dir)
}

// Whoever interrupts a demo does not want its directory.
func TestInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	d, err := newDemo(Config{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = d.run(ctx, []step{{"wait", func(ctx context.Context) (string, error) {
		cancel()
		<-ctx.Done()
		return "", ctx.Err()
	}}})
	require.ErrorIs(t, err, ErrInterrupted)
	require.NoDirExists(t, d.dir)
}

// Every fault of the config is named, and nothing is begun.
func TestInvalidConfig(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600))
	_, err := Run(t.Context(), Config{Keys: 1, Dir: dir, OpenFor: -1, Tick: 1})
	require.ErrorIs(t, err, ErrInvalidConfig)
	for _, name := range []string{"Keys (1)", "Dir", "OpenFor", "Tick"} {
		require.ErrorContains(t, err, name)
	}
	require.NoError(t, (&Config{Dir: filepath.Join(dir, "new")}).Validate())
}

// The outcome of a write that is not known is allowed for until a later one of the same
// session is acknowledged.
func TestLedger(t *testing.T) {
	l := newLedger(1)
	holds := func(value string) bool { return len(l.lost(map[string]string{loadKey(0): value})) == 0 }
	missing := func() bool { return len(l.lost(nil)) > 0 }

	require.False(t, missing(), "nothing was written")
	require.False(t, holds("0"), "nobody wrote that")
	l.wrote(0, "1", unknown)
	require.False(t, missing())
	require.True(t, holds("1"))
	l.wrote(0, "2", applied)
	require.True(t, missing())
	require.False(t, holds("1"), "it is settled by now")
	require.True(t, holds("2"))
	l.wrote(0, "3", unknown)
	l.wrote(0, "4", refused)
	require.True(t, holds("2"))
	require.True(t, holds("3"))
	require.False(t, holds("4"))
}

// The time without writes is the longest gap that touches the time looked at, by whatever
// client.
func TestLongestGap(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	m := &meter{acks: []time.Duration{ms(0), ms(500), ms(510), ms(1310), ms(1320), ms(3320)}}
	require.Equal(t, ms(800), m.longestGap(ms(515), ms(1400)-ms(90)), "the one around")
	require.Equal(t, ms(2000), m.longestGap(ms(515), ms(1400)), "the one that has begun")
	require.Equal(t, ms(0), m.longestGap(ms(4000), ms(5000)))
	require.Equal(t, 2, m.acknowledged(ms(1310)))

	m.waits = []wait{{ms(0), ms(400)}, {ms(500), ms(1310)}, {ms(3000), ms(9000)}}
	require.Equal(t, ms(810), m.longestWait(ms(515), ms(1400)))
}

// A bar is as wide as ever, whatever it is to show.
func TestBar(t *testing.T) {
	require.Equal(t, "[..............................]   0%", bar(0, 10))
	require.Equal(t, "[###############...............]  50%", bar(5, 10))
	require.Equal(t, "[##############################] 100%", bar(10, 10))
	for _, odd := range [][2]int{{-1, 10}, {11, 10}, {0, 0}, {1, 3}, {999_999, 1_000_000}} {
		require.Len(t, bar(odd[0], odd[1]), len(bar(0, 10)), odd)
	}
}

// A bar is drawn over on a terminal alone; elsewhere there are lines now and then.
func TestPrinter(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		p := newPrinter(&out, clock{time.Now().Add(-time.Minute)})
		require.False(t, p.terminal)
		p.terminal = terminal
		p.begin("load")
		p.last = 0
		p.progress("5 of 10 keys", 5, 10)
		p.progress("6 of 10 keys", 6, 10) // at once
		p.end("load", "well", 1234*time.Millisecond)
		require.Contains(t, out.String(), "60.0 s  load: well (1.23 s)\n")
		require.Contains(t, out.String(), "5 of 10 keys")
		require.NotContains(t, out.String(), "6 of 10")
		require.Equal(t, terminal, bytes.ContainsAny(out.Bytes(), "\r#"))
	}
}

// The table has all there is, and says what there is not.
func TestSummaryTable(t *testing.T) {
	var out bytes.Buffer
	s := Summary{Keys: 100, Loading: Duration(time.Second / 2), ReadBack: 103, ReadFrom: []uint64{1, 3, 4}, Lost: []string{}, Checked: 9, Linearizable: true}
	s.Print(&out)
	for _, line := range []string{`keys loaded +100 in 500 ms, 200/s`, `promotion +-`, `read back +103 keys, from each of 1, 3 and 4`, `lost +0`, `linearizable +yes, 9 operations`} {
		require.Regexp(t, `(?m)^`+line+`$`, out.String())
	}
	encoded, err := json.Marshal(&s)
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"loading_seconds":0.5000`)
}
