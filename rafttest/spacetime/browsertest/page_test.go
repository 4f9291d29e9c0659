package browsertest

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest/sim"
	"github.com/quorate-raft/raft/rafttest/spacetime"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// openSample opens a run of five nodes that has a violation.
func openSample(t *testing.T, events int) (*tab, []trace.Event) {
	t.Helper()
	requireBrowser(t)
	run := sampleRun(5, 7, events)
	return open(t, spacetime.Run{
		Title: "Seed 7", Subtitle: "5 nodes, made up for the tests of this page",
		Replay: "go run ./cmd/raftsim -seed 7 -nodes 5 -steps 20000", Events: run,
	}), run
}

func find(t *testing.T, events []trace.Event, from int, is func(e *trace.Event) bool) int {
	t.Helper()
	for i := from; i < len(events); i++ {
		if is(&events[i]) {
			return i
		}
	}
	require.FailNow(t, "the run has no such event")
	return -1
}

// The page shows all of the run, in a picture: a leader's band has the leader's colour.
func TestRenders(t *testing.T) {
	p, events := openSample(t, 20_000)
	s := p.state()
	require.Equal(t, len(events), s.Events)
	require.Equal(t, 5, s.Nodes)
	require.Equal(t, "bars", s.Mode, "thousands of messages are counted, not drawn")
	require.Positive(t, s.Bars)
	require.Positive(t, s.Bands)
	require.Positive(t, s.Marks)
	require.Less(t, s.From, float64(events[0].At))
	require.Greater(t, s.To, float64(events[len(events)-1].At))
	require.Equal(t, "Seed 7", p.text("h1"))
	require.Equal(t, "go run ./cmd/raftsim -seed 7 -nodes 5 -steps 20000", p.text("#replay code"))
	require.Empty(t, evaluate[[]string](p, "Object.keys(palette).filter(name => !palette[name])"),
		"colours that page.css lacks")
	p.screenshot("whole-light")

	require.Equal(t, []int{0x00, 0x8f, 0x68, 0xff}, leaderColour(p, events), "the light --Leader")

	ends, lost, sent := 0, 0, map[uint64]bool{}
	for _, e := range events {
		switch e.Kind {
		case trace.Send:
			sent[e.Msg] = true
		case trace.Drop:
			lost++
			fallthrough
		case trace.Deliver:
			ends++
			delete(sent, e.Msg)
		}
	}
	require.Equal(t, ends+len(sent), s.Flights, "to each end of a message, and of those that have none yet")
	require.Equal(t, lost, evaluate[int](p, "flights.filter(f => f.fate === 'lost').length"))
	require.Equal(t, len(sent), evaluate[int](p, "flights.filter(f => f.fate === 'in flight').length"))
}

// leaderColour is what the first leader's band is painted in.
func leaderColour(p *tab, events []trace.Event) []int {
	p.Helper()
	at := p.locate(find(p.T, events, 0, func(e *trace.Event) bool {
		return e.Kind == trace.Role && e.Role == raft.StateLeader
	}))
	return evaluate[[]int](p, fmt.Sprintf(`(() => {
		const c = document.getElementById('lanes'), b = c.getBoundingClientRect(), r = devicePixelRatio;
		return [...c.getContext('2d').getImageData((%f - b.left + 3) * r, (%f - b.top - 9) * r, 1, 1).data];
	})()`, at.X, at.Y))
}

// The wheel zooms at the pointer, and keys, buttons and dragging move and zoom, all within
// the run.
func TestZoomAndPan(t *testing.T) {
	p, _ := openSample(t, 20_000)
	whole := p.state()
	lanes := p.middle("#lanes")
	left := evaluate[float64](p, "document.getElementById('lanes').getBoundingClientRect().left")
	width := evaluate[float64](p, "document.getElementById('lanes').clientWidth")
	quarter := math.Floor(width / 4) // The browser leaves out parts of pixels.
	at := point{left + quarter, lanes.Y}
	under := func(s state) float64 { return s.From + (s.To-s.From)*quarter/width }

	for range 10 {
		p.wheel(at, -400)
	}
	zoomed := p.state()
	require.Less(t, zoomed.To-zoomed.From, (whole.To-whole.From)/100)
	require.InDelta(t, under(whole), under(zoomed), (zoomed.To-zoomed.From)/100, "the wheel zooms at the pointer")
	require.Equal(t, "arrows", zoomed.Mode)
	require.Positive(t, zoomed.Arrows)
	p.screenshot("zoomed-in-light")

	p.drag(at, point{at.X + 200, at.Y})
	dragged := p.state()
	require.InDelta(t, zoomed.From-200/width*(zoomed.To-zoomed.From), dragged.From, (zoomed.To-zoomed.From)/100)
	require.Equal(t, -1, dragged.Selected, "dragging selects nothing")
	p.press(kb.ArrowRight)
	require.Greater(t, p.state().From, dragged.From)

	p.choose("#zoom-out")
	out := p.state()
	require.InDelta(t, 1.5, (out.To-out.From)/(zoomed.To-zoomed.From), 0.01)
	p.press("+")
	in := p.state()
	require.InDelta(t, zoomed.To-zoomed.From, in.To-in.From, 1)
	p.press(kb.End)
	require.Equal(t, whole.To, p.state().To)
	overview := p.middle("#overview")
	p.click(overview)
	middle := p.state()
	require.InDelta(t, (whole.From+whole.To)/2, (middle.From+middle.To)/2, (whole.To-whole.From)/100)
	for range 60 {
		p.wheel(at, 400)
	}
	out = p.state()
	require.Equal(t, []float64{whole.From, whole.To}, []float64{out.From, out.To}, "not further than the run")
	p.press("+")
	p.choose("#fit")
	require.Equal(t, whole.From, p.state().From)
}

// Each axis shows the same events; on the axis of steps, all steps are as wide.
func TestAxis(t *testing.T) {
	p, events := openSample(t, 3_000)
	p.press("t")
	s := p.state()
	require.Equal(t, "step", s.Axis)
	require.Equal(t, "steps", p.text("#strip-heads div"))
	require.Greater(t, s.To, float64(events[len(events)-1].Step))
	first, second := p.locate(find(t, events, 0, isAt(100))), p.locate(find(t, events, 0, isAt(200)))
	third := p.locate(find(t, events, 0, isAt(300)))
	require.InDelta(t, second.X-first.X, third.X-second.X, 20, "messages are located in the middle of their arrows")
	p.screenshot("steps-light")
}

func isAt(step uint64) func(e *trace.Event) bool {
	return func(e *trace.Event) bool { return e.Step >= step }
}

// What a check box stands for is drawn only while it is checked; its buttons check all or none.
func TestFilters(t *testing.T) {
	p, events := openSample(t, 20_000)
	cut := find(t, events, 0, func(e *trace.Event) bool { return e.Kind == trace.Drop && e.Text == "lost" })
	p.visit(fmt.Sprintf("#step=%d&span=60000", events[cut].Step))
	all := p.state()
	require.Equal(t, "arrows", all.Mode)
	require.Positive(t, all.Lost)

	p.choose(`#legend-types input[data-value="MsgHeartbeat"]`)
	without := p.state()
	require.Less(t, without.Arrows, all.Arrows)
	require.Positive(t, without.Arrows)
	p.choose(`#legend-types button[aria-label="Message types: none"]`)
	none := p.state()
	require.Zero(t, none.Arrows)
	require.Equal(t, all.Marks, none.Marks)
	p.choose(`#legend-types button[aria-label="Message types: all"]`)
	require.Equal(t, all.Arrows, p.state().Arrows)

	p.choose(`#legend-fates input[data-value="delivered"]`)
	lost := p.state()
	require.Equal(t, all.Lost, lost.Lost)
	require.Less(t, lost.Arrows, all.Arrows)
	p.choose(`#legend-fates input[data-value="delivered"]`)

	p.choose(`#legend-kinds input[data-value="commit"]`)
	require.Less(t, p.state().Marks, all.Marks)
	p.choose(`#legend-kinds button[aria-label="Marks: all"]`)
	require.Equal(t, all.Marks, p.state().Marks)

	p.choose(`#legend-nodes input[data-value="1"]`)
	fewer := p.state()
	require.Less(t, fewer.Bands, all.Bands)
	require.Less(t, fewer.Arrows, all.Arrows)
	require.Equal(t, 4, evaluate[int](p, "document.querySelectorAll('.lane-head').length"))
	require.NotContains(t, p.text("#lane-heads"), "node 1\n")
	p.screenshot("filtered-light")
}

// A hostile message is a mark at the node that got it, to be filtered, found and clicked; whom it
// names as its sender gets no lane.
func TestHostile(t *testing.T) {
	requireBrowser(t)
	p := open(t, spacetime.Run{Title: "hostile", Events: []trace.Event{
		{Step: 1, Kind: trace.Start, Node: 1, Index: 1}, {Step: 1, Kind: trace.Start, Node: 2, Index: 1},
		{Step: 2, At: 1000, Kind: trace.Client, Node: 1, Text: "a client"},
		{Step: 5, At: 3000, Kind: trace.Hostile, Node: 2, Peer: 1 << 62, Term: 7, Text: "MsgApp: of a stranger: refused"},
		{Step: 8, At: 5000, Kind: trace.Hostile, Node: 1, Peer: 2, Text: "MsgVote: without a term: refused"},
		{Step: 9, At: 6000, Kind: trace.Client, Node: 1, Text: "another"},
	}})
	all := p.state()
	require.Equal(t, 2, all.Nodes)
	p.click(p.locate(3))
	require.Equal(t, 3, p.state().Selected)
	fields := p.text("#fields")
	require.Contains(t, fields, "Peer\n4611686018427387904 (named as sender)")
	require.Contains(t, fields, "MsgApp: of a stranger: refused")
	p.screenshot("hostile-light")
	p.press(kb.Escape)

	p.choose(`#legend-kinds input[data-value="hostile"]`)
	require.Equal(t, all.Marks-2, p.state().Marks)
	p.click(p.locate(3))
	require.Equal(t, -1, p.state().Selected, "what is not shown is not hit")
	p.choose(`#legend-kinds input[data-value="hostile"]`)
	require.Equal(t, all.Marks, p.state().Marks)
	p.choose("#query")
	p.press("hostile" + kb.Enter)
	require.Equal(t, 2, p.state().Matches)
}

// The head of a lane has the node's configuration: what it applied last, or, after it restored a
// snapshot, what others had applied by the snapshot's index.
func TestConfiguration(t *testing.T) {
	requireBrowser(t)
	p := open(t, spacetime.Run{Title: "configurations", Events: []trace.Event{
		{Step: 5, Kind: trace.Conf, Node: 1, Index: 4, Text: "voters=(1 2)"},
		{Step: 6, Kind: trace.Conf, Node: 2, Index: 4, Text: "voters=(1 2)"},
		{Step: 7, Kind: trace.Conf, Node: 1, Index: 9, Text: "voters=(1 2 3)"},
		{Step: 8, Kind: trace.Conf, Node: 1, Index: 12, Text: "voters=(1 3)"},
		{Step: 9, Kind: trace.Snapshot, Node: 1, Index: 12, Text: "taken"},
		{Step: 10, Kind: trace.Snapshot, Node: 2, Index: 11, Text: "restored"},
		{Step: 11, Kind: trace.Conf, Node: 2, Index: 12, Text: "voters=(1 3)"},
	}})
	conf := func(event int) string {
		evaluate[bool](p, fmt.Sprintf("select(%d) || true", event))
		p.state()
		return p.text(`.lane-head[data-node="2"]`)
	}
	require.NotContains(t, conf(0), "voters")
	require.Contains(t, conf(4), "voters=(1 2)")
	require.Contains(t, conf(5), "voters=(1 2 3)")
	require.Contains(t, conf(6), "voters=(1 3)")
	require.Contains(t, conf(6), "unknown", "the run's beginning is left out, with the node's start")
}

// Runs of the simulator, with all that it does, are drawn in whole: nothing is logged, every lane
// is of a node, and every kind of mark is in the legend.
func TestSimulated(t *testing.T) {
	requireBrowser(t)
	for _, seed := range []uint64{7, 19} {
		var run []trace.Event
		r := sim.Run(sim.Options{Seed: seed, Faults: sim.All, Observer: func(e *trace.Event) { run = append(run, *e) }})
		p := open(t, spacetime.Run{Title: fmt.Sprint("seed ", seed), Subtitle: fmt.Sprint(r.Stats.Steps, " steps"), Events: run})
		nodes := map[uint64]bool{}
		for i := range run {
			if e := &run[i]; e.Kind == trace.Start {
				nodes[e.Node] = true
			}
		}
		s := p.state()
		require.Equal(t, len(run), s.Events)
		require.Equal(t, len(nodes), s.Nodes)
		require.Empty(t, evaluate[[]string](p, `[...kindCounts.keys()].filter(kind =>
			!['send', 'deliver', 'drop', 'role', 'violation'].includes(kind) &&
			!document.querySelector('#legend-kinds input[data-value="' + kind + '"]'))`))
		t.Logf("seed %d: %d events, first drawn after %.0f ms, %.1f ms for the whole run", seed, s.Events, s.FirstDrawn, s.Milliseconds)
		require.Less(t, s.FirstDrawn, 5_000.0)
		p.screenshot(fmt.Sprintf("seed-%d-light", seed))
		p.visit(fmt.Sprintf("#step=%d&span=100000", run[len(run)/2].Step))
		require.Equal(t, "arrows", p.state().Mode)
		p.screenshot(fmt.Sprintf("seed-%d-zoomed-light", seed))
	}
}

// A click on an arrow or a mark shows that event with all its fields, and leads to the other end
// of its message and to its neighbours.
func TestDetails(t *testing.T) {
	p, events := openSample(t, 20_000)
	sent := find(t, events, 10_000, func(e *trace.Event) bool { return e.Kind == trace.Send && e.Entries > 0 })
	received := find(t, events, sent, func(e *trace.Event) bool {
		return e.Kind != trace.Send && e.Kind <= trace.Drop && e.Msg == events[sent].Msg
	})
	p.visit(fmt.Sprintf("#step=%d&span=6000", events[sent].Step))
	// The pointer is a bit nearer to the sender, and away from where arrows begin together.
	at := p.locate(sent)
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, at.X, at.Y))
	p.click(at)
	s := p.state()
	require.Contains(t, []int{sent, received}, s.Selected)
	evaluate[string](p, fmt.Sprintf("location.hash = '#step=%d&event=%d&span=6000'", events[sent].Step, sent))
	require.Equal(t, sent, p.state().Selected)
	e := &events[sent]
	fields := p.text("#fields")
	for _, field := range []string{
		fmt.Sprintf("Step\n%s", grouped(e.Step)), fmt.Sprintf("At\n%d.%06d s", e.At/1e6, e.At%1e6), "Kind\nsend",
		fmt.Sprintf("Node\n%d (sender)", e.Node), fmt.Sprintf("Peer\n%d (receiver)", e.Peer), fmt.Sprintf("Msg\n#%d", e.Msg),
		"Type\n" + e.Type.String(), fmt.Sprintf("Term\n%d", e.Term), fmt.Sprintf("Index\n%d", e.Index),
		fmt.Sprintf("LogTerm\n%d", e.LogTerm), fmt.Sprintf("Commit\n%d", e.Commit), fmt.Sprintf("Entries\n%d", e.Entries),
	} {
		require.Contains(t, fields, field)
	}
	p.screenshot("details-light")

	p.choose("#other-ends .link")
	require.Equal(t, received, p.state().Selected)
	p.press("m")
	require.Equal(t, sent, p.state().Selected, "m goes to the other end")
	p.press("n")
	require.Equal(t, sent+1, p.state().Selected)
	p.choose("#previous")
	require.Equal(t, sent, p.state().Selected)
	p.press("]")
	require.Equal(t, find(t, events, sent+1, func(one *trace.Event) bool { return one.Node == e.Node }), p.state().Selected)
	p.press(kb.Escape)
	require.Equal(t, -1, p.state().Selected)

	commit := find(t, events, received, func(e *trace.Event) bool { return e.Kind == trace.Commit })
	p.visit(fmt.Sprintf("#step=%d&span=4000", events[commit].Step))
	p.click(p.locate(commit))
	selected := p.state().Selected
	require.Contains(t, []int{commit, commit + 1}, selected, "a commit and its apply are at one place")
	require.Contains(t, p.text(".trace"), events[selected].String())
}

func grouped(n uint64) string {
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// The page's lines of a trace are those of trace.Event.String, so that each can be found in the other.
func TestLines(t *testing.T) {
	p, events := openSample(t, 3_000)
	lines := evaluate[[]string](p, fmt.Sprintf("Array.from({length: %d}, (_, i) => spacetime.event(i).line)", len(events)))
	for i := range events {
		require.Equal(t, events[i].String(), lines[i])
	}
}

// The button and its key lead to the violation, closely, and its text is shown as it is.
func TestJumpToViolation(t *testing.T) {
	p, events := openSample(t, 20_000)
	violation := find(t, events, 0, func(e *trace.Event) bool { return e.Kind == trace.Violation })
	p.click(p.middle("#jump"))
	s := p.state()
	require.Equal(t, []int{violation}, s.Violations)
	require.Equal(t, violation, s.Selected)
	require.Equal(t, "arrows", s.Mode, "near enough to tell events apart")
	require.Less(t, s.From, float64(events[violation].At))
	require.Greater(t, s.To, float64(events[violation].At))
	require.Contains(t, p.text("#fields"), "differ <script>alert(1)</script>")
	require.Equal(t, 2, evaluate[int](p, "document.querySelectorAll('script').length"))
	p.screenshot("violation-light")

	p.press(kb.Escape)
	p.press("0")
	require.Equal(t, "bars", p.state().Mode)
	p.press("v")
	require.Equal(t, violation, p.state().Selected)

	quiet := open(t, spacetime.Run{Title: "quiet", Events: events[:violation]})
	require.True(t, evaluate[bool](quiet, "document.getElementById('jump').disabled"))
	require.Equal(t, "No violation", quiet.text("#jump"))
}

// A number finds a step, a text the events whose lines have it, in turn.
func TestFind(t *testing.T) {
	p, events := openSample(t, 20_000)
	p.choose("#query")
	p.press("1234" + kb.Enter)
	require.Equal(t, find(t, events, 0, isAt(1234)), p.state().Selected)

	var crashes []int
	for i := range events {
		if strings.Contains(events[i].String(), "crash") {
			crashes = append(crashes, i)
		}
	}
	p.press(kb.Escape + kb.Escape)
	require.Equal(t, -1, p.state().Selected, "Escape leaves the field, and then the event")
	p.choose("#query")
	p.press(strings.Repeat(kb.Backspace, 4) + "CRASH" + kb.Enter)
	s := p.state()
	require.Equal(t, len(crashes), s.Matches)
	require.Equal(t, crashes[0], s.Selected)
	require.Equal(t, fmt.Sprintf("1 of %d", len(crashes)), p.text("#found"))
	p.press(kb.Enter)
	require.Equal(t, crashes[1], p.state().Selected)
	p.choose("#find-previous")
	p.choose("#find-previous")
	require.Equal(t, crashes[len(crashes)-1], p.state().Selected, "round from the first to the last")
	p.screenshot("found-light")

	p.press(kb.Escape)
	p.press("/")
	require.Equal(t, "query", evaluate[string](p, "document.activeElement.id"))
}

// The address keeps the place, and leads back to it.
func TestAddress(t *testing.T) {
	p, events := openSample(t, 20_000)
	p.click(p.middle("#jump"))
	p.press("+")
	before := p.state()
	_, err := chromedp.Run(p.ctx, chromedp.Poll[bool](`location.hash.includes('span=')`))
	require.NoError(t, err)
	hash := evaluate[string](p, "location.hash")
	require.Contains(t, hash, fmt.Sprintf("step=%d", events[before.Selected].Step))

	p.visit(hash)
	after := p.state()
	require.Equal(t, before.Selected, after.Selected)
	require.InDelta(t, before.To-before.From, after.To-after.From, 1)

	p.visit("#step=777")
	after = p.state()
	step := events[after.Selected].Step
	require.EqualValues(t, 777, step)
	require.Less(t, after.To-after.From, (before.To-before.From)*10)

	for _, hash := range []string{"#step=999999999999", "#step=x", "#event=-3", "#step=5&event=99999999&span=-1", "#%%%"} {
		p.visit(hash)
		require.False(t, math.IsNaN(p.state().From), hash)
	}
}

// The page follows the scheme of the system, at once.
func TestDark(t *testing.T) {
	p, events := openSample(t, 20_000)
	background := "getComputedStyle(document.body).backgroundColor"
	light := evaluate[string](p, background)
	drawings := p.state().Drawings
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	_, err := chromedp.Run(p.ctx, chromedp.Poll[bool](fmt.Sprintf("spacetime.state().drawings > %d", drawings)))
	require.NoError(t, err, "the page is drawn again")
	require.NotEqual(t, light, evaluate[string](p, background))
	require.Equal(t, []int{0x1f, 0xb9, 0x8c, 0xff}, leaderColour(p, events), "the dark --Leader")
	p.screenshot("whole-dark")
	p.press("v")
	p.screenshot("violation-dark")
}

// A run without events is a page too, and so is one of a single event or of extreme values.
func TestSmallest(t *testing.T) {
	requireBrowser(t)
	p := open(t, spacetime.Run{Title: "nothing"})
	require.Zero(t, p.state().Events)
	p.press("0+-nbvmt" + kb.ArrowLeft + kb.End)
	p.wheel(p.middle("#lanes"), -300)
	p.click(p.middle("#lanes"))
	require.Contains(t, p.text("#details"), "no events")

	p = open(t, spacetime.Run{Title: "one", Events: []trace.Event{
		{Step: 1, At: -5, Kind: trace.Send, Node: math.MaxUint64, Peer: 1 << 60, Type: 99,
			Term: math.MaxUint64, Index: 1<<53 + 1},
		{Step: 1, At: 0, Kind: trace.Kind(200), Node: 3, Text: "unheard of"},
	}})
	s := p.state()
	require.Equal(t, 3, s.Nodes)
	require.Contains(t, p.text("#lane-heads"), "node 18446744073709551615")
	p.press("n")
	require.Contains(t, p.text("#fields"), "Index\n9007199254740993", "exact, though JavaScript's numbers are not")
	p.press("n")
	require.Contains(t, p.text("#fields"), "unheard of")
}

// 200,000 events open within seconds and stay fluid; the page is no larger than 15 MB. The bounds on time are wide,
// for slow machines: the figures are logged.
func TestLarge(t *testing.T) {
	requireBrowser(t)
	events := sampleRun(7, 7, 200_000)
	p := open(t, spacetime.Run{Title: "200,000 events", Subtitle: "7 nodes", Events: events})
	info, err := os.Stat(p.file)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(15_000_000))
	s := p.state()
	require.GreaterOrEqual(t, s.Events, 200_000)
	t.Logf("%d events, %.1f MB; first drawn after %.0f ms, of which decoding %.0f ms; drawing the whole run %.1f ms",
		s.Events, float64(info.Size())/1e6, s.FirstDrawn, s.DecodedIn, s.Milliseconds)
	require.Less(t, s.FirstDrawn, 10_000.0)
	p.screenshot("large-light")

	var drawn []float64
	at := p.middle("#lanes")
	for range 25 {
		p.wheel(at, -150)
		drawn = append(drawn, p.state().Milliseconds)
	}
	slices.Sort(drawn)
	t.Logf("drawing while zooming in: median %.1f ms, longest %.1f ms", drawn[len(drawn)/2], drawn[len(drawn)-1])
	require.Less(t, drawn[len(drawn)/2], 200.0)
	require.Equal(t, "arrows", p.state().Mode)
	p.screenshot("large-zoomed-light")
}
