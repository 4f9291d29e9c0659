package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	barWidth = 30
	// drawPause is between two drawings of a progress bar, linePause between two lines of
	// progress where nothing can be drawn over.
	drawPause = 100 * time.Millisecond
	linePause = 2 * time.Second
)

// printer writes for people: a line for each step, and how far the present one is. On a
// terminal that is drawn over.
type printer struct {
	clock
	w        io.Writer
	terminal bool

	mu   sync.Mutex
	over int           // how long the line is that is to be drawn over
	last time.Duration // when progress was shown last
}

func newPrinter(w io.Writer, c clock) *printer {
	return &printer{clock: c, w: w, terminal: isTerminal(w)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// line writes a line.
func (p *printer) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// begin says what is being done, where that can be drawn over.
func (p *printer) begin(title string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = p.now()
	if p.terminal {
		p.draw(fmt.Sprintf("%8s  %s ...", seconds(p.now()), title))
	}
}

// end says that it was done, how long it took and what came of it.
func (p *printer) end(title, result string, took time.Duration) {
	if result != "" {
		result = ": " + result
	}
	p.line("%8s  %s%s (%s)", seconds(p.now()), title, result, rounded(took))
}

// progress says how much is done of something.
func (p *printer) progress(what string, done, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	every := linePause
	if p.terminal {
		every = drawPause
	}
	if now-p.last < every {
		return
	}
	p.last = now
	if p.terminal {
		p.draw(fmt.Sprintf("%8s  %s %s", seconds(now), bar(done, of), what))
		return
	}
	fmt.Fprintf(p.w, "%8s  %s, %d%%\n", seconds(now), what, percent(done, of))
}

// draw and clear are called with the mutex.
func (p *printer) draw(line string) {
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, p.over-len(line))))
	p.over = len(line)
}

func (p *printer) clear() {
	if p.over > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.over))
	}
	p.over = 0
}

// bar is a progress bar.
func bar(done, of int) string {
	full := barWidth * percent(done, of) / 100
	return fmt.Sprintf("[%s%s] %3d%%", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), percent(done, of))
}

func percent(done, of int) int {
	if of <= 0 {
		return 100
	}
	return 100 * min(max(done, 0), of) / of
}

// seconds is a time since the beginning.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// rounded is how long something took, as exactly as anybody wants to know.
func rounded(d time.Duration) string {
	if d = d.Round(time.Millisecond); d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
