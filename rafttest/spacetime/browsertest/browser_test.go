package browsertest

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/spacetime"
)

// browser is the one that all tests share, each with a tab of its own.
var browser struct {
	sync.Mutex
	ctx  context.Context
	stop context.CancelFunc
}

func TestMain(m *testing.M) {
	code := m.Run()
	if browser.stop != nil {
		browser.stop()
	}
	os.Exit(code)
}

// requireBrowser skips the test unless a browser was asked for, and starts it.
func requireBrowser(t *testing.T) context.Context {
	t.Helper()
	wanted := os.Getenv("RAFT_BROWSER")
	if wanted == "" {
		t.Skip("set RAFT_BROWSER to 1 or to the path of a Chromium")
	}
	browser.Lock()
	defer browser.Unlock()
	if browser.ctx != nil {
		return browser.ctx
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findBrowser(t, wanted)), chromedp.WindowSize(1500, 900), chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's does not work for root.
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	browser.ctx, browser.stop = ctx, func() {
		_ = chromedp.Cancel(ctx) // closes the browser and waits for it
		stop()
	}
	require.NoError(t, chromedp.Do(ctx), "starting the browser")
	return ctx
}

func findBrowser(t *testing.T, wanted string) string {
	t.Helper()
	names := []string{wanted}
	if wanted == "1" {
		names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	}
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	require.FailNow(t, "no browser found", "RAFT_BROWSER=%s: none of %v is in PATH", wanted, names)
	return ""
}

// tab is a page of a run, open in the browser.
type tab struct {
	*testing.T
	ctx  context.Context
	file string
	mu   sync.Mutex
	// faults are errors on the console and requests for anything but the page.
	faults []string
}

// state is what window.spacetime says of the view.
type state struct {
	Axis         string
	From, To     float64
	Selected     int
	Matches      int
	Events       int
	Nodes        int
	Flights      int
	Violations   []int
	Mode         string
	Bands        int
	Arrows       int
	Lost         int
	Marks        int
	Bars         int
	Drawings     int
	Milliseconds float64
	DecodedIn    float64
	FirstDrawn   float64
}

// open writes the run's page to a file and opens it. The test fails at its end if the page has
// logged an error or has asked for anything.
func open(t *testing.T, run spacetime.Run) *tab {
	t.Helper()
	parent := requireBrowser(t)
	p := &tab{T: t, file: filepath.Join(t.TempDir(), "run.html")}
	f, err := os.Create(p.file)
	require.NoError(t, err)
	require.NoError(t, spacetime.Write(f, run))
	require.NoError(t, f.Close())

	var closeTab, expire context.CancelFunc
	p.ctx, closeTab = chromedp.NewContext(parent)
	p.ctx, expire = context.WithTimeout(p.ctx, time.Minute)
	t.Cleanup(func() {
		expire()
		closeTab()
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Empty(t, p.faults, "what the page logged or asked for")
	})
	require.NoError(t, chromedp.Listen(p.ctx, p.listen))
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	p.do(chromedp.EmulateViewport(1500, 900))
	p.visit("")
	return p
}

func (p *tab) listen(event any) {
	fault := func(format string, args ...any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.faults = append(p.faults, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			text += " " + thrown.Description
		}
		fault("exception: %s", text)
	case *runtime.EventConsoleAPICalled:
		fault("console %v: %v", e.Type, e.Args)
	case *log.EventEntryAdded:
		fault("log: %s", e.Entry.Text)
	case *network.EventRequestWillBeSent:
		if url, _, _ := strings.Cut(e.Request.URL, "#"); url != p.url() && !strings.HasPrefix(url, "data:") {
			fault("request: %s", url)
		}
	}
}

func (p *tab) url() string { return "file://" + filepath.ToSlash(p.file) }

// visit opens the page with that hash, as a new document.
func (p *tab) visit(hash string) {
	p.Helper()
	p.do(chromedp.Navigate("about:blank"), chromedp.Navigate(p.url()+hash), chromedp.WaitReady(chromedp.CSS("#details h2")))
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	require.NoError(p, chromedp.Do(p.ctx, steps...))
}

// call sends a command of the browser's protocol.
func call[P, R any](p *tab, command cdp.Command[P, R], params P) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, command, params)
	require.NoError(p, err)
}

// state returns what is seen once all is drawn.
func (p *tab) state() state {
	p.Helper()
	return evaluate[state](p, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(
		() => done(spacetime.state()))))`)
}

func evaluate[T any](p *tab, script string) T {
	p.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(p, err)
	return value
}

func (p *tab) text(selector string) string {
	p.Helper()
	return evaluate[string](p, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// point is a place on the page, in CSS pixels.
type point struct{ X, Y float64 }

func (p *tab) locate(event int) point {
	p.Helper()
	return evaluate[point](p, fmt.Sprintf("spacetime.locate(%d)", event))
}

// middle is the middle of an element.
func (p *tab) middle(selector string) point {
	p.Helper()
	return evaluate[point](p, fmt.Sprintf(`(() => { const b = document.querySelector(%q).getBoundingClientRect();
		return {x: b.left + b.width / 2, y: b.top + b.height / 2}; })()`, selector))
}

// click, wheel, drag and press are real input.
func (p *tab) click(at point) {
	p.Helper()
	p.do(chromedp.MouseClickXY(at.X, at.Y))
}

// press takes characters and the keys of package kb.
func (p *tab) press(keys string) {
	p.Helper()
	p.do(chromedp.KeyEvent(keys))
}

func (p *tab) wheel(at point, down float64) {
	p.Helper()
	p.do(chromedp.MouseEvent(chromedp.MouseWheel, at.X, at.Y, func(e *input.DispatchMouseEventParams) {
		e.DeltaX, e.DeltaY = math.SmallestNonzeroFloat32, down // The protocol wants both, and zeros are left out.
	}))
}

func (p *tab) drag(from, to point) {
	p.Helper()
	held := func(e *input.DispatchMouseEventParams) { e.Buttons = 1 }
	p.do(
		chromedp.MouseEvent(chromedp.MousePressed, from.X, from.Y, chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.MouseEvent(chromedp.MouseMoved, (from.X+to.X)/2, (from.Y+to.Y)/2, chromedp.ButtonLeft, held),
		chromedp.MouseEvent(chromedp.MouseMoved, to.X, to.Y, chromedp.ButtonLeft, held),
		chromedp.MouseEvent(chromedp.MouseReleased, to.X, to.Y, chromedp.ButtonLeft, chromedp.ClickCount(1)),
	)
}

// choose clicks the element of a selector, scrolling to it.
func (p *tab) choose(selector string) {
	p.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// screenshot leaves a picture in RAFT_SCREENSHOTS, if that is set.
func (p *tab) screenshot(name string) {
	p.Helper()
	dir := os.Getenv("RAFT_SCREENSHOTS")
	if dir == "" {
		return
	}
	p.state()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	require.NoError(p, err)
	require.NoError(p, os.MkdirAll(dir, 0o755))
	require.NoError(p, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644))
}
