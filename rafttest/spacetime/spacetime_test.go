package spacetime

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// hostile ends a script element, starts a comment in one, and has what JSON, HTML and JavaScript
// each treat as special.
const hostile = "</script><script>alert(1)</script><!--<script \"'&amp;\\ {{script}} \u2028 µ→ 🦀"

var someEvents = []trace.Event{
	{Step: 1, Kind: trace.Start, Node: 1, Index: 1, Term: 3},
	{Step: 2, At: 1500, Kind: trace.Role, Node: 1, Term: 4, Role: raft.StateLeader, Lead: 1},
	{Step: 2, At: 1500, Kind: trace.Send, Node: 1, Peer: 2, Msg: 1, Type: pb.MsgApp, Term: 4, Index: 7, LogTerm: 3,
		Commit: 6, Entries: 2},
	{Step: 9, At: 2500, Kind: trace.Deliver, Node: 2, Peer: 1, Msg: 1, Type: pb.MsgApp, Term: 4, Index: 7, LogTerm: 3,
		Commit: 6, Entries: 2, Text: hostile},
	{Step: 9, At: 2500, Kind: trace.Drop, Node: 2, Peer: 1, Msg: 2, Type: pb.MsgAppResp, Term: 4, Reject: true,
		Text: "the link is cut"},
	{Step: 9, At: 2500, Kind: trace.Send, Node: 2, Peer: 1, Msg: 3, Type: pb.MsgHup},
	{Step: 9, At: 2500, Kind: trace.Hostile, Node: 2, Peer: 1 << 62, Term: 1 << 61, Index: 5, Text: "MsgApp: of a stranger"},
	{Step: 10, At: 2500, Kind: trace.Violation, Text: "S1"},
	{Step: 11, At: 1 << 52, Kind: trace.Drop, Node: math.MaxUint64, Peer: maxExact, Msg: maxExact + 1, Type: 99,
		Term: math.MaxUint64, Index: 1 << 60, Text: hostile},
}

func write(t *testing.T, run Run) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, run))
	return b.String()
}

// element returns what the page has between two marks that occur once.
func element(t *testing.T, page, before, after string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(page, before), before)
	_, rest, _ := strings.Cut(page, before)
	inside, _, ended := strings.Cut(rest, after)
	require.True(t, ended, after)
	return inside
}

// The same run gives the same bytes: a page can be compared and cached, and names no time or machine.
func TestSameBytes(t *testing.T) {
	run := Run{Title: "a", Subtitle: "b", Replay: "c", Events: someEvents}
	first := write(t, run)
	for range 5 {
		require.Equal(t, first, write(t, run))
	}
	run.Events = someEvents[:len(someEvents)-1]
	require.NotEqual(t, first, write(t, run))
}

// embedded is what a page has of its run, as encode.go writes it.
type embedded struct {
	Events              []any
	Kinds, Types, Roles map[string]string
	Texts               []string
}

func embeddedIn(t *testing.T, page string) embedded {
	t.Helper()
	var e embedded
	decoder := json.NewDecoder(strings.NewReader(element(t, page, `<script type="application/json" id="run">`, "</script>")))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&e))
	return e
}

// decode is what page/data.js does; it also checks the tables of names.
func (e *embedded) decode(t *testing.T) []trace.Event {
	t.Helper()
	var events []trace.Event
	var step uint64
	var at int64
	next := func() uint64 {
		text, inexact := e.Events[0].(string)
		if !inexact {
			text = string(e.Events[0].(json.Number))
		}
		e.Events = e.Events[1:]
		v, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		require.Equal(t, v > maxExact, inexact, "strings are for what JavaScript cannot hold: %d", v)
		return v
	}
	for len(e.Events) > 0 {
		step += next()
		at += int64(next())
		one := trace.Event{Step: step, At: at, Kind: trace.Kind(next()), Node: next()}
		mask := next()
		field := func(bit int) uint64 {
			if mask>>bit&1 == 0 {
				return 0
			}
			return next()
		}
		one.Peer, one.Msg, one.Type, one.Term = field(0), field(1), pb.MessageType(field(2)), field(3)
		one.Index, one.LogTerm, one.Commit, one.Entries = field(4), field(5), field(6), int(field(7))
		one.Reject, one.Role, one.Lead, one.Text = field(8) == 1, raft.StateType(field(9)), field(10), e.Texts[field(11)]
		require.Equal(t, one.Kind.String(), e.Kinds[strconv.Itoa(int(one.Kind))])
		if one.Kind <= trace.Drop {
			require.Equal(t, one.Type.String(), e.Types[strconv.Itoa(int(one.Type))])
		}
		if one.Kind == trace.Role {
			require.Equal(t, one.Role.String(), "State"+e.Roles[strconv.Itoa(int(one.Role))])
		}
		events = append(events, one)
	}
	return events
}

// A page has every field of every event, exactly.
func TestEventsInFull(t *testing.T) {
	data := embeddedIn(t, write(t, Run{Events: someEvents}))
	require.Equal(t, someEvents, data.decode(t))

	empty := embeddedIn(t, write(t, Run{}))
	require.Empty(t, empty.Events)
	require.Equal(t, []string{""}, empty.Texts)
}

// The page knows every kind of event: a new one has to be drawn as something.
func TestAllKinds(t *testing.T) {
	last := trace.Kind(0)
	for ; !strings.HasPrefix(last.String(), "Kind("); last++ {
		require.True(t, strings.Contains(part("data.js"), "'"+last.String()+"'"), last)
	}
	require.Greater(t, last, trace.Hostile)
}

// Texts come from errors, clients and peers: none can leave its place and become part of the page.
func TestEscaping(t *testing.T) {
	page := write(t, Run{Title: hostile, Subtitle: hostile, Replay: hostile, Events: someEvents})
	require.Equal(t, 2, strings.Count(page, "<script"), "the data and the script")
	require.Equal(t, 2, strings.Count(page, "</script"))
	lacks(t, page, "<!--")
	require.Contains(t, embeddedIn(t, page).Texts, hostile)
	require.Equal(t, part("page.css"), element(t, page, "<style>", "</style>"))
	require.Equal(t, html.EscapeString(hostile), element(t, page, "<h1>", "</h1>"), "nor are places in it filled in")

	invalid := write(t, Run{Title: "\xff", Events: []trace.Event{{Kind: trace.Client, Text: "\xff"}}})
	require.Contains(t, embeddedIn(t, invalid).Texts, "\ufffd")
}

// The page is self-contained: it names nothing that a browser would load, has nothing to load it
// with, and forbids it; its own script and style are what the policy allows.
func TestSelfContained(t *testing.T) {
	page := write(t, Run{Title: "t", Events: someEvents})
	for _, loads := range []string{
		`https?:`, `\bsrc\s*=`, `url\(`, `@import`, `["'(]//`, `\bimport\b`, `fetch\(`, `XMLHttpRequest`, `WebSocket`,
		`EventSource`, `sendBeacon`, `<(iframe|img|object|embed|base|form [^>]*action)`,
	} {
		lacks(t, page, loads)
	}
	for _, href := range regexp.MustCompile(`href="[^"]*"`).FindAllString(page, -1) {
		require.Equal(t, `href="data:,"`, href, "the icon, so that none is asked for")
	}
	policy := element(t, page, `<meta http-equiv="Content-Security-Policy" content="`, `"`)
	require.Contains(t, policy, "default-src 'none'; ")
	require.NotContains(t, policy, "unsafe")
	require.Contains(t, policy, "script-src '"+sourceHash(element(t, page, "<script>", "</script>"))+"';")
	require.Contains(t, policy, "style-src '"+sourceHash(element(t, page, "<style>", "</style>"))+"';")
	lacks(t, write(t, Run{}), `\{\{[a-z]`)
	lacks(t, page, ` (style|on[a-z]+)="`) // The policy would forbid it.
}

// lacks fails with what was found, and not with the whole page.
func lacks(t *testing.T, page, pattern string) {
	t.Helper()
	require.Empty(t, regexp.MustCompile(`.{0,20}(`+pattern+`).{0,20}`).FindAllString(page, -1), pattern)
}

// Every file of the page is in it.
func TestAllParts(t *testing.T) {
	files, err := fs.Glob(page, "page/*")
	require.NoError(t, err)
	require.Len(t, files, len(scripts)+2)
	whole := write(t, Run{})
	for _, name := range append([]string{"page.css"}, scripts...) {
		require.True(t, strings.Contains(whole, part(name)), name)
	}
}

// Events out of order are refused before anything is written: the page searches them by time.
func TestOrder(t *testing.T) {
	for _, events := range [][]trace.Event{{{Step: 2}, {Step: 1}}, {{Step: 1, At: 5}, {Step: 2, At: 4}}} {
		var b bytes.Buffer
		require.ErrorIs(t, Write(&b, Run{Events: events}), ErrOrder)
		require.Zero(t, b.Len())
	}
}

type fullDisk struct{ room int }

var errFull = errors.New("no space")

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		return 0, errFull
	}
	d.room -= len(p)
	return len(p), nil
}

// An error of the writer is returned, wherever it happens.
func TestWriterFails(t *testing.T) {
	whole := len(write(t, Run{Events: someEvents}))
	for _, room := range []int{0, 100, whole - 1} {
		require.ErrorIs(t, Write(&fullDisk{room}, Run{Events: someEvents}), errFull)
	}
	require.NoError(t, Write(&fullDisk{whole}, Run{Events: someEvents}))
}

// A run of 200,000 events, most of them messages with all their fields, makes a page of at most 15 MB.
func TestSize(t *testing.T) {
	events := make([]trace.Event, 200_000)
	for i := range events {
		n := uint64(i)
		events[i] = trace.Event{
			Step: n / 10, At: int64(i) * 173, Kind: trace.Kind(i % 2), Node: n % 7, Peer: (n + 1) % 7,
			Msg: 1_000_000 + n, Type: pb.MsgApp, Term: 1000 + n/1000, Index: 500_000 + n, LogTerm: 1000 + n/1000, Commit: 499_000 + n, Entries: i % 8,
		}
	}
	size := len(write(t, Run{Events: events}))
	require.LessOrEqual(t, size, 15_000_000)
	t.Logf("%.1f MB", float64(size)/1e6)
}
