package spacetime

import (
	"bufio"
	"fmt"
	"html"
	"math"
	"slices"
)

// svgStyle has the page's colours. Not all who draw SVG know variables.
const svgStyle = `text{font:11px "Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;fill:#1a1e24}
.note{font-size:12px}.head{font-weight:bold;font-size:12px;text-anchor:middle}
.label{text-anchor:middle;stroke:#fff;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}
.row{stroke:#fff;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}.number{font-size:11px;font-weight:bold;text-anchor:middle;fill:#fff}
.pill{text-anchor:middle}.bg{fill:#fff}.lane{stroke:#5c6672;stroke-width:1.5}.down{stroke:#98a1ab;stroke-dasharray:1 5}
.Leader{fill:#008f68;stroke:#1a1e24}.Candidate,.PreCandidate{fill:#fff;stroke:#1a1e24;stroke-width:1.5}.PreCandidate{stroke-dasharray:3 2}
.disc{fill:#1a1e24}.cut{fill:#a65a00;fill-opacity:.1;stroke:#a65a00;stroke-dasharray:6 4}
.conf,.open{fill:#f3ecfb;stroke:#7a3cc8;stroke-width:1.5}.open{stroke-dasharray:4 3;fill:#fff}
.cross{stroke:#c4001a;stroke-width:2.5;fill:none}.bad{fill:#c4001a;font-weight:bold}
.append{stroke:#0072b2}.heartbeat{stroke:#6b7580}.vote{stroke:#b56c00}.snapshot{stroke:#b8508f}.other{stroke:#1d7f91}
.line{stroke-width:1.8;fill:none}.answer{stroke-width:1.1}
.fappend{fill:#0072b2}.fheartbeat{fill:#6b7580}.fvote{fill:#b56c00}.fsnapshot{fill:#b8508f}.fother{fill:#1d7f91}
@media (prefers-color-scheme:dark){text{fill:#e8ebef}.label,.row{stroke:#12151a}.number{fill:#12151a}.bg{fill:#12151a}
.lane{stroke:#98a2ae}.down{stroke:#6d7681}.Leader{fill:#1fb98c;stroke:#e8ebef}.Candidate,.PreCandidate{fill:#12151a;stroke:#e8ebef}
.disc{fill:#e8ebef}.cut{fill:#e69a3c;stroke:#e69a3c}.conf,.open{fill:#2b2140;stroke:#c39bff}.open{fill:#12151a}
.cross{stroke:#ff4d5e}.bad{fill:#ff4d5e}
.append{stroke:#56a9f0}.heartbeat{stroke:#8d98a4}.vote{stroke:#f0a530}.snapshot{stroke:#e58cc0}.other{stroke:#5fd3e0}
.fappend{fill:#56a9f0}.fheartbeat{fill:#8d98a4}.fvote{fill:#f0a530}.fsnapshot{fill:#e58cc0}.fother{fill:#5fd3e0}}
`

func (d *drawing) write(out *bufio.Writer) {
	legend := d.legend()
	end := d.height
	height := end + 8 + legendHeight*len(legend)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`+"\n",
		d.width, height, d.width, height)
	fmt.Fprintf(out, "<title>%s</title>\n<style>\n%s</style>\n", html.EscapeString(d.title), svgStyle)
	fmt.Fprintf(out, `<rect class="bg" width="%d" height="%d"/>`+"\n", d.width, height)
	d.writeCuts(out)
	for i := range d.lanes {
		d.writeLane(out, &d.lanes[i], end-6)
	}
	for i := range d.flights {
		d.flights[i].write(out)
	}
	for i := range d.flights {
		d.flights[i].writeLabel(out)
	}
	for i := range d.lanes {
		for _, r := range d.lanes[i].rows {
			r.write(out, d.lanes[i].x, d.slots[r.slot].top+r.line*rowHeight)
		}
	}
	for _, n := range d.notes {
		d.writeNote(out, n)
	}
	d.writeLegend(out, legend, end+8)
	_, _ = out.WriteString("</svg>\n")
}

// writeCuts shades who is cut off, in one piece if they are side by side.
func (d *drawing) writeCuts(out *bufio.Writer) {
	for _, c := range d.cuts {
		for i := 0; i < len(c.lanes); i++ {
			if !c.lanes[i] {
				continue
			}
			from := i
			for i+1 < len(c.lanes) && c.lanes[i+1] {
				i++
			}
			top, bottom := d.slots[c.from].top-2, d.height-4
			if c.to < len(d.slots)-1 {
				bottom = d.slots[c.to].top - 2
			}
			left := d.lanes[from].x - 28
			right := d.lanes[i].x + min(d.gap, rowsWidth) - 36
			fmt.Fprintf(out, `<rect class="cut" x="%d" y="%d" width="%d" height="%d" rx="6"/>`+"\n", left, top, right-left, bottom-top)
		}
	}
}

func (d *drawing) writeLane(out *bufio.Writer, l *lane, end int) {
	fmt.Fprintf(out, `<text class="head" x="%d" y="18">server %d</text>`+"\n", l.x, l.id)
	for i, s := range l.spans {
		from, to := d.slots[s.from].top, end
		if s.from == 0 {
			from = headHeight - 6
		}
		if i+1 < len(l.spans) {
			to = d.slots[s.to].top
		}
		class := "lane"
		if s.role == "" {
			class = "lane down"
		}
		fmt.Fprintf(out, `<path class="%s" d="M%d %dV%d"/>`+"\n", class, l.x, from, to)
		if s.role != "" && s.role != "Follower" && to > from {
			fmt.Fprintf(out, `<rect class="%s" x="%d" y="%d" width="10" height="%d"/>`+"\n", s.role, l.x-5, from, to-from)
		}
	}
	for i, s := range l.spans {
		if s.role == "" && i > 0 {
			writeCross(out, l.x, d.slots[s.from].top+rowHeight/2, 6)
		}
	}
}

func writeCross(out *bufio.Writer, x, y, r int) {
	fmt.Fprintf(out, `<path class="cross" d="M%d %dl%d %dM%d %dl%d %d"/>`+"\n", x-r, y-r, 2*r, 2*r, x-r, y+r, 2*r, -2*r)
}

// angle returns the direction of the line in degrees.
func (f *flight) angle() float64 {
	return math.Atan2(float64(f.y2-f.y1), float64(f.x2-f.x1)) * 180 / math.Pi
}

func (f *flight) write(out *bufio.Writer) {
	class := "line " + f.family
	if f.answer {
		class += " answer"
	}
	fmt.Fprintf(out, `<path class="%s" d="M%d %dL%d %d"/>`, class, f.x1, f.y1, f.x2, f.y2)
	switch {
	case f.lost:
		writeCross(out, f.x2, f.y2, 5)
	case f.answer:
		fmt.Fprintf(out, `<path class="%s" transform="translate(%d %d) rotate(%.1f)" d="M-8-4L0 0L-8 4"/>`+"\n", class, f.x2, f.y2, f.angle())
	default:
		fmt.Fprintf(out, `<path class="f%s" transform="translate(%d %d) rotate(%.1f)" d="M1 0L-9-4.500V4.500Z"/>`+"\n", f.family, f.x2, f.y2, f.angle())
	}
}

func (f *flight) writeLabel(out *bufio.Writer) {
	angle := f.angle()
	if f.x2 < f.x1 { // the words go from left to right
		angle -= math.Copysign(180, angle)
	}
	fmt.Fprintf(out, `<text class="label" transform="translate(%d %d) rotate(%.1f)" y="4">%s</text>`+"\n",
		f.labelX, f.labelY, angle, html.EscapeString(f.text))
}

func (r row) write(out *bufio.Writer, x, y int) {
	text := html.EscapeString(r.text)
	if r.kind == "conf" || r.kind == "open" {
		fmt.Fprintf(out, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="7"/>`, r.kind, x+rowIndent, y+1, pillWidth(r.text), rowHeight-2)
		fmt.Fprintf(out, `<text class="pill" x="%d" y="%d">%s</text>`+"\n", x+rowIndent+pillWidth(r.text)/2, y+13, text)
		return
	}
	fmt.Fprintf(out, `<text class="row" x="%d" y="%d">%s</text>`+"\n", x+rowIndent, y+13, text)
}

func (d *drawing) writeNote(out *bufio.Writer, n note) {
	x, class := d.notesX(), "note"
	if n.violation {
		writeCross(out, x+8, n.y+8, 6)
		class = "note bad"
	} else {
		writeNumber(out, x+noteRadius, n.y+noteRadius+1, n.number)
		if n.lane >= 0 {
			writeNumber(out, d.lanes[n.lane].x-18, d.slots[n.slot].top+noteRadius+3, n.number)
		}
	}
	for i, line := range n.lines {
		fmt.Fprintf(out, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x+22, n.y+13+i*noteHeight, html.EscapeString(line))
	}
}

func writeNumber(out *bufio.Writer, x, y, number int) {
	fmt.Fprintf(out, `<circle class="disc" cx="%d" cy="%d" r="%d"/><text class="number" x="%d" y="%d">%d</text>`+"\n", x, y, noteRadius, x, y+4, number)
}

const (
	legendHeight = 20
	legendIndent = 34
)

// legendItem is a sign and its meaning.
type legendItem struct {
	x    int
	sign string
	text string
}

// legend returns the lines of the legend: what the figure uses, in a fixed order.
func (d *drawing) legend() [][]legendItem {
	all := []struct{ use, text string }{
		{"Leader", "leader"}, {"Candidate", "asks for votes"}, {"PreCandidate", "asks for pre-votes"}, {"append", "log and acknowledgement"},
		{"vote", "election"}, {"heartbeat", "heartbeat"}, {"snapshot", "snapshot"},
		{"other", "other"}, {"lost", "lost"}, {"crash", "crash, and down"}, {"cut", "cut off"},
		{"conf", "configuration in effect"}, {"open", "in effect, not committed"}, {"learners", "learners"}, {"joint", "two majorities"},
	}
	var lines [][]legendItem
	x := d.width
	for _, item := range all {
		if !d.uses[item.use] {
			continue
		}
		width := legendIndent + textWidth(item.text) + 14
		if x+width > d.width {
			lines = append(lines, nil)
			x = 14
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], legendItem{x: x, sign: item.use, text: item.text})
		x += width
	}
	return lines
}

func (d *drawing) writeLegend(out *bufio.Writer, lines [][]legendItem, y int) {
	for _, line := range lines {
		for _, item := range line {
			writeSign(out, item.sign, item.x, y)
			fmt.Fprintf(out, `<text x="%d" y="%d">%s</text>`+"\n", item.x+legendIndent, y+12, html.EscapeString(item.text))
		}
		y += legendHeight
	}
}

// writeSign draws a sign of the legend, 28 px wide.
func writeSign(out *bufio.Writer, sign string, x, y int) {
	switch {
	case slices.Contains([]string{"Leader", "Candidate", "PreCandidate"}, sign):
		fmt.Fprintf(out, `<path class="lane" d="M%d %dV%d"/><rect class="%s" x="%d" y="%d" width="10" height="14"/>`, x+14, y, y+16, sign, x+9, y+1)
	case sign == "lost":
		fmt.Fprintf(out, `<path class="line append" d="M%d %dh16"/>`, x+2, y+8)
		writeCross(out, x+18, y+8, 5)
	case sign == "crash":
		fmt.Fprintf(out, `<path class="lane" d="M%d %dv8"/>`, x+14, y)
		writeCross(out, x+14, y+8, 5)
	case sign == "cut":
		fmt.Fprintf(out, `<rect class="cut" x="%d" y="%d" width="26" height="14" rx="4"/>`, x+1, y+1)
	case sign == "conf" || sign == "open":
		fmt.Fprintf(out, `<rect class="%s" x="%d" y="%d" width="26" height="14" rx="7"/>`, sign, x+1, y+1)
	case sign == "learners":
		fmt.Fprintf(out, `<text class="pill" x="%d" y="%d">( )</text>`, x+14, y+12)
	case sign == "joint":
		fmt.Fprintf(out, `<text class="pill" x="%d" y="%d">|</text>`, x+14, y+12)
	default:
		fmt.Fprintf(out, `<path class="line %s" d="M%d %dh22"/><path class="f%s" d="M%d %dl-9-4.500v9z"/>`, sign, x+1, y+8, sign, x+27, y+8)
	}
}
