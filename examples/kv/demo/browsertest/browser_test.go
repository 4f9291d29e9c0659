package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// requireBrowser skips the test unless a browser was asked for, and starts it.
func requireBrowser(t *testing.T) context.Context {
	t.Helper()
	wanted := os.Getenv("RAFT_BROWSER")
	if wanted == "" {
		t.Skip("set RAFT_BROWSER to 1 or to the path of a Chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findBrowser(t, wanted)), chromedp.WindowSize(1280, 900), chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's does not work for root.
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // closes the browser and waits for it
		stop()
	})
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

// tab is the page, open in the browser.
type tab struct {
	*testing.T
	ctx  context.Context
	host string
	mu   sync.Mutex
	// requests counts those for the state; faults are errors on the console and requests
	// for anything but the page.
	requests int
	faults   []string
}

// open opens the page. The test fails at its end if the page has logged anything or has
// asked for anything else.
func open(t *testing.T, browser context.Context, address string) *tab {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	p := &tab{T: t, host: u.Host}
	var closeTab, expire context.CancelFunc
	p.ctx, closeTab = chromedp.NewContext(browser)
	p.ctx, expire = context.WithTimeout(p.ctx, 90*time.Second)
	t.Cleanup(func() {
		expire()
		closeTab()
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Empty(t, p.faults, "what the page logged or asked for")
		require.Positive(t, p.requests)
	})
	require.NoError(t, chromedp.Listen(p.ctx, p.listen))
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	p.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(address), chromedp.WaitReady(chromedp.CSS("#servers li")))
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
		p.requested(e.Request.URL, fault)
	}
}

// requested takes a request of the page: only for itself, its state, and what is in it.
func (p *tab) requested(address string, fault func(format string, args ...any)) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		fault("request: %s", address)
	case u.Scheme == "data":
	case u.Host != p.host, u.Path != "/" && u.Path != "/state":
		fault("request: %s", address)
	case u.Path == "/state":
		p.mu.Lock()
		defer p.mu.Unlock()
		p.requests++
	}
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

func evaluate[T any](p *tab, script string) T {
	p.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(p, err)
	return value
}

// until waits for an expression of the page to be true.
func (p *tab) until(script string) {
	p.Helper()
	require.Eventually(p, func() bool { return evaluate[bool](p, script) }, time.Minute, 20*time.Millisecond, script)
}

// scheme makes the system's colours light or dark.
func (p *tab) scheme(name string) {
	p.Helper()
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// screenshot leaves a picture of the whole page in RAFT_SCREENSHOTS, if that is set.
func (p *tab) screenshot(name string) {
	p.Helper()
	dir := os.Getenv("RAFT_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	require.NoError(p, err)
	require.NoError(p, os.MkdirAll(dir, 0o755))
	require.NoError(p, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644))
}
