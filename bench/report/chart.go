package report

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

const (
	labelWidth = 430
	plotWidth  = 470
	rowHeight  = 21
	headHeight = 64
	footHeight = 34
	margin     = 14
)

const chartStyle = `text{font:11px "Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;fill:#1a1e24}
.bg{fill:#fff}.head{font-size:14px;font-weight:bold}.label{text-anchor:end}.tick{text-anchor:middle;fill:#5c6672}
.grid{stroke:#d5dae0}.one{stroke:#5c6672;stroke-width:1.5}.band{fill:#000;fill-opacity:.03}.reach{stroke:#98a1ab}
.ours{fill:#0072b2}.peer0{fill:none;stroke:#b56c00;stroke-width:1.8}.peer1{fill:none;stroke:#a2408c;stroke-width:1.8}.goal{stroke:#008f68;stroke-width:3}
@media (prefers-color-scheme:dark){text{fill:#e8ebef}.bg{fill:#12151a}.tick{fill:#98a1ab}.grid{stroke:#2c333c}.one{stroke:#98a1ab}
.band{fill:#fff;fill-opacity:.04}.reach{stroke:#5c6672}.ours{fill:#56b4e9}.peer0{stroke:#f0a030}.peer1{stroke:#dd8ac9}.goal{stroke:#2fc79a}}
`

// Chart returns a drawing, as SVG, of what ours and up to two peers take for each row as a part of what etcd's raft v3.6
// takes, on a logarithmic scale. Rows without a figure of both are left out.
func Chart(title string, results []Result, peers ...string) []byte {
	var rows []Result
	low, high := 0.5, 2.0
	for _, r := range results {
		ours, ok := r.Ratio(Ours, Etcd36)
		if !ok {
			continue
		}
		rows = append(rows, r)
		shown := []float64{ours, r.Goal.Ratio()}
		for _, peer := range peers {
			ratio, _ := r.Ratio(peer, Etcd36)
			shown = append(shown, ratio)
		}
		for _, v := range shown {
			if v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	// What is further left than a thousandth would press the others together.
	c := &chart{low: max(math.Floor(math.Log10(low)), -3), high: math.Ceil(math.Log10(high)*2) / 2, rows: len(rows), peers: peers}
	c.begin(title)
	for i, r := range rows {
		c.row(i, r)
	}
	c.out.WriteString("</svg>\n")
	return c.out.Bytes()
}

// chart is a drawing; low and high are the decades of its scale.
type chart struct {
	out       bytes.Buffer
	low, high float64
	rows      int
	peers     []string
}

// x returns where the ratio v is; what is beyond the scale is at its edge.
func (c *chart) x(v float64) float64 {
	return margin + labelWidth + 12 + max((math.Log10(v)-c.low)/(c.high-c.low), 0)*plotWidth
}

func (c *chart) begin(title string) {
	width, height := labelWidth+plotWidth+12+3*margin, headHeight+c.rows*rowHeight+footHeight
	fmt.Fprintf(&c.out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&c.out, "<title>%s</title>\n<style>\n%s</style>\n", html.EscapeString(title), chartStyle)
	fmt.Fprintf(&c.out, `<rect class="bg" width="%d" height="%d"/>`+"\n", width, height)
	fmt.Fprintf(&c.out, `<text class="head" x="%d" y="24">%s</text>`+"\n", margin, html.EscapeString(title))
	c.legend()
	bottom := headHeight + c.rows*rowHeight
	for _, v := range c.ticks() {
		class := "grid"
		if v == 1 {
			class = "one"
		}
		fmt.Fprintf(&c.out, `<path class="%s" d="M%.1f %dV%d"/>`+"\n", class, c.x(v), headHeight-6, bottom+4)
		fmt.Fprintf(&c.out, `<text class="tick" x="%.1f" y="%d">%s</text>`+"\n", c.x(v), bottom+20, part(v))
	}
}

// ticks are where the scale has a line: at decades, and between them if they are few.
func (c *chart) ticks() []float64 {
	var all []float64
	for d := int(c.low); float64(d) <= c.high; d++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow(10, float64(d))
			if m == 1 || c.high-c.low <= 2 && math.Log10(v) <= c.high {
				all = append(all, v)
			}
		}
	}
	return all
}

func (c *chart) legend() {
	const y = 46
	x := margin + labelWidth + 12
	fmt.Fprintf(&c.out, `<circle class="ours" cx="%d" cy="%d" r="5"/><text x="%d" y="%d">ours</text>`+"\n", x+5, y-4, x+14, y)
	x += 64
	for i, peer := range c.peers {
		fmt.Fprintf(&c.out, `<rect class="peer%d" x="%d" y="%d" width="8" height="8"/><text x="%d" y="%d">%s</text>`+"\n", i, x, y-8, x+13, y, html.EscapeString(peer))
		x += 30 + 6*len(peer)
	}
	fmt.Fprintf(&c.out, `<path class="goal" d="M%d %dv12"/><text x="%d" y="%d">goal</text>`+"\n", x, y-10, x+7, y)
	fmt.Fprintf(&c.out, `<path class="one" d="M%d %dv12"/><text x="%d" y="%d">etcd 3.6 = 1; further left is less time</text>`+"\n", x+54, y-10, x+61, y)
}

func (c *chart) row(i int, r Result) {
	top := headHeight + i*rowHeight
	y := float64(top) + rowHeight/2.0
	if i%2 == 0 {
		fmt.Fprintf(&c.out, `<rect class="band" x="%d" y="%d" width="%d" height="%d"/>`+"\n", margin/2, top, labelWidth+plotWidth+12+margin, rowHeight)
	}
	fmt.Fprintf(&c.out, `<text class="label" x="%d" y="%.1f">%s</text>`+"\n", margin+labelWidth, y+4, html.EscapeString(r.Title))
	ours, _ := r.Ratio(Ours, Etcd36)
	fmt.Fprintf(&c.out, `<path class="reach" d="M%.1f %.1fH%.1f"/>`+"\n", c.x(1), y, c.x(ours))
	if goal := r.Goal.Ratio(); goal > 0 {
		fmt.Fprintf(&c.out, `<path class="goal" d="M%.1f %.1fv14"/>`+"\n", c.x(goal), y-7)
	}
	for i, peer := range c.peers {
		if v, ok := r.Ratio(peer, Etcd36); ok {
			fmt.Fprintf(&c.out, `<rect class="peer%d" x="%.1f" y="%.1f" width="8" height="8"/>`+"\n", i, c.x(v)-4, y-4)
		}
	}
	fmt.Fprintf(&c.out, `<circle class="ours" cx="%.1f" cy="%.1f" r="5"><title>%s</title></circle>`+"\n", c.x(ours), y, digits(ours))
	if math.Log10(ours) < c.low {
		fmt.Fprintf(&c.out, `<text x="%.1f" y="%.1f">◂ %s</text>`+"\n", c.x(ours)+12, y-1.5, part(ours))
	}
}

// part names a ratio as a fraction.
func part(v float64) string {
	if v >= 1 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("1/%.0f", 1/v)
}
