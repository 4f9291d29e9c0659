// Package spacetime draws a simulated run as a space–time diagram: one HTML page
// that needs nothing but itself, with a lane for each node and an arrow for each
// message.
package spacetime

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/quorate-raft/raft/rafttest/trace"
)

// ErrOrder is returned for events that go back in time.
var ErrOrder = errors.New("spacetime: events out of order")

// Run is what a page shows.
type Run struct {
	// Title heads the page, and names its tab.
	Title string
	// Subtitle is a line below the title, such as what ran and how it ended.
	Subtitle string
	// Replay is the command that repeats the run; the page shows it for copying.
	// If empty, none is shown.
	Replay string
	// Events are in the order in which they happened: neither Step nor At goes
	// back. Write does not change them.
	Events []trace.Event
}

//go:embed page
var page embed.FS

// scripts are the page's, in the order in which they build on each other.
var scripts = []string{
	"data.js", "view.js", "glyphs.js", "flights.js", "lanes.js", "strips.js", "filters.js", "details.js", "controls.js",
}

// Write writes the page of a run. The same run gives the same bytes. It returns
// an error that wraps ErrOrder if the events are out of order, before writing
// anything, or what w returns. It may be called concurrently.
func Write(w io.Writer, run Run) error {
	if err := checkOrder(run.Events); err != nil {
		return err
	}
	style := part("page.css")
	var script strings.Builder
	for _, name := range scripts {
		script.WriteString(part(name))
	}
	// One pass over the template: what is filled in is not searched for places.
	filled := strings.NewReplacer(
		"{{title}}", html.EscapeString(run.Title),
		"{{subtitle}}", html.EscapeString(run.Subtitle),
		"{{replay}}", html.EscapeString(run.Replay),
		"{{style}}", style, "{{style-hash}}", sourceHash(style),
		"{{script}}", script.String(), "{{script-hash}}", sourceHash(script.String()),
	)
	head, tail, _ := strings.Cut(part("page.html"), "{{run}}")

	out := bufio.NewWriterSize(w, 1<<16)
	_, _ = filled.WriteString(out, head)
	writeEvents(out, run.Events)
	_, _ = filled.WriteString(out, tail)
	// A bufio.Writer keeps its first error, and writes nothing after it.
	if err := out.Flush(); err != nil {
		return fmt.Errorf("spacetime: %w", err)
	}
	return nil
}

func checkOrder(events []trace.Event) error {
	for i := 1; i < len(events); i++ {
		last, next := &events[i-1], &events[i]
		if next.Step < last.Step || next.At < last.At {
			return fmt.Errorf("%w: event %d (step %d, %d µs) follows step %d, %d µs",
				ErrOrder, i, next.Step, next.At, last.Step, last.At)
		}
	}
	return nil
}

// part returns a file of the page.
func part(name string) string {
	text, err := page.ReadFile("page/" + name)
	if err != nil {
		panic(fmt.Sprintf("spacetime: the page has no part %s: %v", name, err))
	}
	return string(text)
}

// sourceHash returns what a content security policy calls an inline script or
// style by.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
