package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/core"
)

// wellFormed fails unless svg is XML.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}

// straight is a curve of one line, straight for ours and four times steeper for the peer.
func straight() Curve {
	c := core.Curve{
		Key: "k", Title: "time & more", Axis: "voters", Points: []int{1, 10, 1000}, From: 10, Linear: true, Lines: []core.Line{{Key: "a"}},
	}
	return CurveOf(c, map[string]map[string][]core.Sample{
		"a/1":    {Ours: samples(7), Etcd36: samples(7)},
		"a/10":   {Ours: samples(50), Etcd36: samples(100)},
		"a/1000": {Ours: samples(5000), Etcd36: samples(40_000)},
	})
}

// several is a curve with a line that the peer has not.
func several() Curve {
	c := core.Curve{
		Key: "k", Title: "heap", Axis: "groups", Points: []int{0, 1000}, Unit: core.Heap,
		Lines: []core.Line{{Key: "a", Title: "awake"}, {Key: "b", Title: "asleep", Alone: true}},
	}
	return CurveOf(c, map[string]map[string][]core.Sample{
		"a/0": {Ours: samples(2000), Etcd36: samples(2100)}, "a/1000": {Ours: samples(2000), Etcd36: samples(2100)},
		"b/0": {Ours: samples(0.5)}, "b/1000": {Ours: samples(0)},
	})
}

// A curve's table has a row for each point, with as many cells as the head has.
func TestCurveTable(t *testing.T) {
	for _, c := range []Curve{straight(), several()} {
		lines := strings.Split(strings.TrimSpace(c.Table()), "\n")
		require.Len(t, lines, 2+len(c.Points))
		for _, line := range lines {
			require.Equal(t, strings.Count(lines[0], "|"), strings.Count(line, "|"), line)
		}
	}
	require.Contains(t, straight().Table(), "| 1,000 | 5.00 µs | 40.0 µs | 0.12 | 5.00 ns | 50, 400 | 0, 0 |")
	require.Contains(t, several().Table(), "| groups | awake: ours | awake: etcd 3.6 | asleep: ours |")
	require.Contains(t, several().Table(), "| 1,000 | 2.00 KB | 2.10 KB | 0.00 KB |")
}

// Growth is told from the point that counts on, and not for what costs nothing.
func TestGrowth(t *testing.T) {
	require.Equal(t, "From 10 to 1,000 voters, which is 100 ×, the cost changes by: ours 100 ×, etcd 3.6 400 ×.", straight().Growth())
	c := several()
	c.Whole = true
	require.Equal(t, "From 0 to 1,000 groups the cost changes by: awake ours 1.00 ×, etcd 3.6 1.00 ×. For all 1,000 groups: awake ours 2.00 MB, etcd 3.6 2.10 MB.", c.Growth())
}

// Instructions are told where they were counted, for each of what the cost may grow with.
func TestCounts(t *testing.T) {
	c := straight()
	c.Lines[0].Counted = []core.Counting{{Point: 10, Ops: 1}, {Point: 1000, Ops: 1}}
	counts := Instructions{"a/10": {Ours: 2000}, "a/1000": {Ours: 300_000}}
	require.Equal(t, "Instructions of ours: 2,000 at 10 (200 for each), 300,000 at 1,000 (300 for each).", c.Counts(counts))
	require.Empty(t, c.Counts(nil))
	c = several()
	c.Lines[0].Counted = []core.Counting{{Point: 1000, Ops: 1}}
	require.Equal(t, "Instructions of ours: awake 7 at 1,000.", c.Counts(Instructions{"a/1000": {Ours: 7}}))
}

// The drawing is well-formed, with a panel for each curve, and a line for each library that has samples.
func TestCurves(t *testing.T) {
	svg := string(Curves("a < b", []Curve{straight(), several(), CurveOf(straight().Curve, nil)}))
	wellFormed(t, svg)
	require.Contains(t, svg, "a &lt; b")
	require.Equal(t, 3, strings.Count(svg, "<g "))
	require.Equal(t, 4, strings.Count(svg, `class="line `), "what is asleep is not drawn, nor what has no samples")
	require.Contains(t, svg, "time &amp; more, by voters")
	require.NotContains(t, svg, "NaN")
	require.NotContains(t, svg, "Inf")

	p := panel{Curve: straight()}
	p.scale(p.strokes())
	require.InDelta(t, 2*(p.x(10)-p.x(1)), p.x(1000)-p.x(10), 1e-9, "a decade is as wide as another")
	require.Less(t, p.y(5000), p.y(50), "what takes longer is higher")
	require.InDeltaSlice(t, []float64{math.Log10(5), math.Log10(50_000)}, []float64{p.low, p.high}, 1e-9)
}

// Names of lines that end at the same height are not written over each other.
func TestNamesAreApart(t *testing.T) {
	p := panel{out: new(strings.Builder), labels: []label{{"a", Ours, 50}, {"b", Ours, 40}, {"c", Etcd36, 41}}}
	p.names()
	for i := 1; i < len(p.labels); i++ {
		require.GreaterOrEqual(t, p.labels[i].y-p.labels[i-1].y, 12.0)
	}
}

func TestShort(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 1000: "1k", 100_000: "100k", 1_000_000: "1M", 1024: "1024", 8 << 10: "8Ki"} {
		require.Equal(t, want, short(n))
	}
	require.Equal(t, "10 µs", power(core.Time, 1e4))
	require.Equal(t, "1 KB", power(core.Heap, 1e3))
}
