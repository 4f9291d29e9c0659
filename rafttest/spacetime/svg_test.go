package spacetime

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// someFigure has all that is drawn.
var someFigure = Figure{
	Title: "a <figure>",
	Notes: []Note{
		{Step: 1, Text: "The beginning & " + strings.Repeat("many words ", 20)},
		{Step: 2, Node: 1, Text: "<hand over>"}, {Step: 2, Node: 2, Text: "second"},
	},
	Events: []trace.Event{
		{Step: 1, Kind: trace.Start, Node: 1, Index: 1}, {Step: 1, Kind: trace.Start, Node: 2, Index: 1}, {Step: 1, Kind: trace.Start, Node: 3, Index: 1},
		{Step: 1, Kind: trace.Role, Node: 1, Term: 2, Role: raft.StateLeader},
		{Step: 1, Kind: trace.Commit, Node: 1, Index: 2},
		{Step: 1, Kind: trace.Conf, Node: 1, Index: 1, Text: "voters=(1 2)&&(1 3) learners=(9)"},
		{Step: 2, Kind: trace.Send, Node: 1, Peer: 2, Msg: 1, Type: pb.MsgApp, Index: 2, Entries: 2},
		{Step: 2, Kind: trace.Send, Node: 1, Peer: 3, Msg: 2, Type: pb.MsgSnap, Index: 7},
		{Step: 2, Kind: trace.Send, Node: 1, Peer: 3, Msg: 3, Type: pb.MsgHeartbeat},
		{Step: 2, Kind: trace.Conf, Node: 1, Index: 3, Text: "voters=(1 2)"},
		{Step: 3, Kind: trace.Deliver, Node: 2, Peer: 1, Msg: 1, Type: pb.MsgApp, Index: 2, Entries: 2},
		{Step: 3, Kind: trace.Drop, Node: 1, Peer: 3, Msg: 2, Type: pb.MsgSnap, Index: 7, Text: "lost"},
		{Step: 3, Kind: trace.Send, Node: 2, Peer: 1, Msg: 4, Type: pb.MsgAppResp, Index: 4},
		{Step: 4, Kind: trace.Deliver, Node: 1, Peer: 2, Msg: 4, Type: pb.MsgAppResp, Index: 4, Text: "refused as stale"},
		{Step: 4, Kind: trace.Crash, Node: 3}, {Step: 4, Kind: trace.Cut, Text: "1-3 2-3"},
		{Step: 5, Kind: trace.Cut}, {Step: 5, Kind: trace.Start, Node: 3, Index: 2}, {Step: 5, Kind: trace.Commit, Node: 3, Index: 2},
		{Step: 6, Kind: trace.Role, Node: 2, Term: 3, Role: raft.StatePreCandidate}, {Step: 7, Kind: trace.Role, Node: 2, Term: 3, Role: raft.StateCandidate},
		{Step: 8, Kind: trace.Role, Node: 1, Term: 3, Role: raft.StateFollower}, {Step: 8, Kind: trace.Commit, Node: 2, Index: 4},
		{Step: 9, Kind: trace.Violation, Text: "broken"},
	},
}

func svg(t *testing.T, f Figure) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, WriteSVG(&b, f))
	return b.String()
}

// A figure says in words what happened, so that it can be read without its colours; what never arrives is not drawn.
func TestSVGSaysWhatHappened(t *testing.T) {
	text := svg(t, someFigure)
	for _, want := range []string{
		"<title>a &lt;figure&gt;</title>", ">server 1<", ">server 3<", ">leads, term 2<", ">asks for pre-votes, term 3<", ">asks for votes, term 3<",
		">steps down, term 3<", ">append 3–4<", ">snapshot 7<", ">has 4<", ">refused<", ">crashes<", ">restarts<", ">cut off<", ">connected<",
		">1 2 | 1 3 (9)<", ">1 2<", `class="open"`, ">committed 4<", ">broken<", "The beginning &amp; many", "&lt;hand over&gt;",
		">in effect, not committed<", ">leader<", ">lost<",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, ">heartbeat<")
	require.NotContains(t, text, ">committed 2<", "what it began with")
}

// Of a configuration with a target it says what the target is, until it ends and how; who the members are only when that is new.
func TestSVGSaysWhatBecomesOfATarget(t *testing.T) {
	conf := func(step uint64, text string) trace.Event {
		return trace.Event{Step: step, Kind: trace.Conf, Node: 1, Index: step, Text: text}
	}
	f := Figure{Title: "target", HideCommits: true, Events: []trace.Event{
		{Step: 1, Kind: trace.Start, Node: 1}, conf(1, "voters=(1 2)"),
		{Step: 2, Kind: trace.Commit, Node: 1, Index: 7},
		conf(2, "voters=(1 2) target@7=(1 3) target_learners=(2)"),
		conf(3, "voters=(1 2) learners=(3) target@7=(1 3) target_learners=(2)"),
		conf(4, "voters=(1 3) learners=(2) target@7=(1 3) target_learners=(2)"),
		conf(5, "voters=(1 3) learners=(2) outcome@7=MembershipReached"),
		conf(6, "voters=(1 3) learners=(2) target@9=(4) outcome@7=MembershipReached"),
		conf(7, "voters=(1 3) learners=(2) outcome@9=MembershipAborted(MembershipTooSlow,4)"),
	}}
	rows := regexp.MustCompile(`class="(?:row|pill)"[^>]*>([^<]*)<`).FindAllStringSubmatch(svg(t, f), -1)
	var said []string
	for _, row := range rows {
		said = append(said, row[1])
	}
	require.Equal(t, []string{
		"1 2", "target: 1 3 (2)", "1 2 (3)", "1 3 (2)", "reached", "target: 4", "given up",
	}, said[:7])
	require.NotContains(t, svg(t, f), "committed 7", "it hides commit indexes")
}

// It is well-formed, needs nothing from elsewhere, and is no wider than a page.
func TestSVGStandsAlone(t *testing.T) {
	text := svg(t, someFigure)
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	require.NotRegexp(t, `<script|href|url\(|@import`, text)
	width, err := strconv.Atoi(regexp.MustCompile(`<svg [^>]*width="(\d+)"`).FindStringSubmatch(text)[1])
	require.NoError(t, err)
	require.LessOrEqual(t, width, svgWidth)
}

// The same figure gives the same bytes, whatever order maps have.
func TestSVGSameBytes(t *testing.T) {
	first := svg(t, someFigure)
	for range 5 {
		require.Equal(t, first, svg(t, someFigure))
	}
}

// Words do not cover each other, where there is room for them.
func TestSVGLabelsAreApart(t *testing.T) {
	f := Figure{Title: "fan"}
	for to := uint64(2); to <= 5; to++ {
		for i, pair := range [][2]uint64{{1, to}, {to, 1}} {
			step := uint64(i + 1)
			m := trace.Event{Step: step, Kind: trace.Send, Node: pair[0], Peer: pair[1], Msg: 10*step + to, Type: pb.MsgApp, Entries: 1}
			f.Events = append(f.Events, m)
			m.Step, m.Kind, m.Node, m.Peer = step+1, trace.Deliver, pair[1], pair[0]
			f.Events = append(f.Events, m)
		}
	}
	slices.SortStableFunc(f.Events, func(a, b trace.Event) int { return cmp.Compare(a.Step, b.Step) })
	d := newDrawing(f)
	d.read(f.Events)
	d.layOut()
	require.Len(t, d.flights, 8)
	for i := range d.flights {
		for j := range i {
			a, b := &d.flights[i], &d.flights[j]
			require.False(t, abs(a.labelX-b.labelX) < textWidth(a.text) && abs(a.labelY-b.labelY) < labelHeight-1, "%d and %d", i, j)
		}
	}
}

// Events or notes out of order are refused before anything is written; a failing writer is reported; nothing at all is drawn
// as nothing.
func TestSVGErrors(t *testing.T) {
	var b bytes.Buffer
	require.ErrorIs(t, WriteSVG(&b, Figure{Events: []trace.Event{{Step: 2}, {Step: 1}}}), ErrOrder)
	require.ErrorIs(t, WriteSVG(&b, Figure{Notes: []Note{{Step: 2}, {Step: 1}}}), ErrOrder)
	require.Zero(t, b.Len())
	require.NoError(t, WriteSVG(&b, Figure{}))
	require.NoError(t, WriteSVG(&b, Figure{Events: []trace.Event{{Kind: trace.Commit, Index: 1}, {Kind: trace.Crash}}}))
	failure := errors.New("full")
	require.ErrorIs(t, WriteSVG(failing{failure}, someFigure), failure)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
